"""Metrics of Ray's own that the dashboard and the alert rules use."""

RAYS = {
    "ray_serve_deployment_queued_queries",
    "ray_serve_deployment_replica_healthy",
    "ray_serve_num_http_requests_total",
    "ray_serve_replica_processing_queries",
}
