"""The FastAPI variant: `uvicorn --factory fastapi_service.app:create_app`, or `twinscore serve fastapi`."""
