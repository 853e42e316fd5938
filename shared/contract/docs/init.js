// validatorUrl: without it Swagger UI would send the document's address to a validator on another host.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
