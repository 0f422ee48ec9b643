// Shows the API's description with Swagger UI. No validator: it would ask another host.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#description",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
