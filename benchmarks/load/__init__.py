"""The load generators: wrk for closed loops, loadtest for a constant rate, Locust for the published scenario."""
