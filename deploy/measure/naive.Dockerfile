# The image that a first try makes of the FastAPI variant. Nobody runs it: images.py measures what the others save.
FROM python:3.11-slim
WORKDIR /app
COPY . .
# hadolint ignore=DL3042
RUN pip install -r requirements/fastapi.txt
ENV TWINSCORE_HOST=0.0.0.0
CMD ["python", "-m", "fastapi_service"]
