//! The routes, one line each.

use axum::{
    Router,
    extract::Request,
    routing::{any, delete, get, post},
};
use history::InvalidId;

use crate::{
    app::App, error::Error, forward::Forward, health, hosts::Checked, peers, retention,
    search_attributes, visibility, workflows,
};

/// Returns the routes of the API.
pub fn router(app: App) -> Router {
    // Around the nest, so that what is forwarded has its whole path.
    let namespaces = Router::new()
        .nest("/api/v1/namespaces/{namespace}", namespace())
        .route_layer(Forward::new(app.clone()));
    let checked = Checked::new(app.hosts().clone());
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/internal/v1/deliver", post(peers::deliver))
        .route(peers::IDENTITY, get(peers::identity))
        .route("/api/v1/visibility/rebuild", post(visibility::rebuild))
        .merge(namespaces)
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(checked)
        .with_state(app)
}

fn namespace() -> Router<App> {
    Router::new()
        .route(
            "/workflows",
            get(workflows::list::list).post(workflows::start::start),
        )
        .route("/workflow-count", get(workflows::count::count))
        // A path's last segment may be empty, which the routes below do not match.
        .route("/workflows/", any(workflow_id_is_empty))
        .route(
            "/workflows/{workflow_id}",
            get(workflows::describe::describe).delete(workflows::delete::delete),
        )
        .route(
            "/workflows/{workflow_id}/history",
            get(workflows::history::history),
        )
        .route(
            "/workflows/{workflow_id}/result",
            get(workflows::result::result),
        )
        .route(
            "/workflows/{workflow_id}/signal",
            post(workflows::signal::signal),
        )
        .route(
            "/workflows/{workflow_id}/cancel",
            post(workflows::cancel::cancel),
        )
        .route(
            "/workflows/{workflow_id}/terminate",
            post(workflows::terminate::terminate),
        )
        .route("/retention", get(retention::show).post(retention::change))
        .route(
            "/search-attributes",
            get(search_attributes::list::list).post(search_attributes::declare::declare),
        )
        .route(
            "/search-attributes/{name}",
            delete(search_attributes::delete::delete),
        )
}

async fn workflow_id_is_empty() -> Error {
    Error::InvalidId(InvalidId::Empty { kind: "WorkflowId" })
}

async fn route_not_found(request: Request) -> Error {
    Error::RouteNotFound(request.uri().path().to_owned())
}

async fn method_not_allowed(request: Request) -> Error {
    Error::MethodNotAllowed {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
    }
}
