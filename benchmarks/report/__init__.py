"""The report: one HTML page that needs nothing else, and a short Markdown summary."""
