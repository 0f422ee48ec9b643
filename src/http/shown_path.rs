//! The path of a request as logs and events may show it.

use std::borrow::Cow;

use actix_web::HttpRequest;

/// The path; where it names a session, the pattern of the route, since the session's token is a secret.
/// A path that is not served is not shown either: nobody knows what is in it.
#[must_use]
pub fn shown_path(request: &HttpRequest) -> Cow<'_, str> {
    match request.match_pattern() {
        Some(pattern) if pattern.contains("{session}") => Cow::Owned(pattern),
        Some(_) => Cow::Borrowed(request.path()),
        None => Cow::Borrowed("(no route)"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    #[actix_web::test]
    async fn the_token_of_a_session_is_not_shown() {
        let show = || {
            web::to(|request: HttpRequest| async move { HttpResponse::Ok().body(shown_path(&request).into_owned()) })
        };
        let app = App::new().route("/api/sessions/{session}/commands", show()).route("/api/users/{id}", show());
        let app = test::init_service(app.default_service(show())).await;
        for (path, shown) in [
            ("/api/sessions/a-secret/commands", "/api/sessions/{session}/commands"),
            ("/api/%73essions/a-secret/commands", "/api/sessions/{session}/commands"),
            ("/api/sessions/a-secret/comands", "(no route)"),
            ("/api/users/ada", "/api/users/ada"),
        ] {
            let answer = test::call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!((answer.status(), test::read_body(answer).await), (StatusCode::OK, shown.into()), "{path}");
        }
    }
}
