//! What is held of a meter for a use to come, as our API is asked to hold it and to let it go.

use crate::http::{Problem, Reply, body, has_card_number, path, query};
use crate::usage::countable;
use crate::{App, view};
use billing::id::{CustomerId, MeterId, UsageId};
use billing::ports::StoreError;
use billing::reservation::Minutes;
use billing::workflow::{Reserve, UsageError};
use lambda_http::Request;
use serde::Deserialize;
use std::num::NonZeroU64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReserveRequest {
    value: NonZeroU64,
    minutes: Minutes,
    /// Whose, said by a service; a customer holds their own.
    subject: Option<CustomerId>,
}

pub async fn reserve(app: &App, request: &Request) -> Result<Reply, Problem> {
    let reporter = app.reporter(request)?;
    let (meter, id) = (path(request, "feature")?, id(request)?);
    let ReserveRequest { value, minutes, subject } = body(request)?;
    let value = countable(value)?;
    let wanted = Reserve { customer: reporter.reports(subject)?, meter, id, value, minutes };
    let (reservation, standing) = app.billing.reserve(&wanted).await?;
    Ok(Reply::ok(view::reservation(&wanted.id, &reservation, &standing)))
}

/// Whose it is, a service says in the query: there is no body.
pub async fn release(app: &App, request: &Request) -> Result<Reply, Problem> {
    let reporter = app.reporter(request)?;
    let (meter, id): (MeterId, UsageId) = (path(request, "feature")?, id(request)?);
    let customer = reporter.reports(query(request, "subject")?)?;
    app.billing.release(&customer, &meter, &id).await.map_err(|error| match error {
        // Others were faster each time. The same again is what helps.
        UsageError::Store(error @ (StoreError::Conflict | StoreError::Duplicate)) => Problem::unavailable(error),
        UsageError::Meter(_) | UsageError::Store(_) => error.into(),
    })?;
    Ok(Reply::nothing())
}

/// The id of the use that is to come, by which it may be told in a body then.
fn id(request: &Request) -> Result<UsageId, Problem> {
    let text: String = path(request, "id")?;
    if has_card_number(text.as_bytes()) {
        return Err(Problem::unreadable("a card number has no place here").at("id"));
    }
    UsageId::try_from(text).map_err(|error| Problem::unreadable(error).at("id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::header::CONTENT_TYPE;
    use lambda_http::{Body, RequestExt};
    use serde_json::{Value, json};
    use std::collections::HashMap;

    fn asked(body: &Value) -> Result<ReserveRequest, Problem> {
        let mut request = Request::new(Body::Text(body.to_string()));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap_or_else(|_| panic!("a header")));
        super::body(&request)
    }

    #[test]
    fn what_holds_nothing_names_its_field() {
        let good = json!({"value": 5, "minutes": 10, "subject": "acme"});
        assert!(asked(&good).is_ok());
        let cases = [
            ("value", json!(0)),
            ("value", json!(-1)),
            ("value", json!(1.5)),
            ("value", json!("5")),
            ("value", Value::Null),
            ("minutes", json!(0)),
            ("minutes", json!(1_441)),
            ("minutes", json!(65_536)),
            ("minutes", json!(-1)),
            ("minutes", json!(0.5)),
            ("minutes", json!("10")),
            ("minutes", Value::Null),
            ("subject", json!("a#b")),
            ("seconds", json!(600)),
            ("id", json!("call-1")),
        ];
        for (name, value) in cases {
            let mut body = good.clone();
            body[name] = value.clone();
            let field = asked(&body).map_err(|problem| problem.field).err();
            assert_eq!(field, Some(Some(name.to_owned())), "{value}");
        }
        for name in ["value", "minutes"] {
            let mut body = good.clone();
            body.as_object_mut().map(|it| it.remove(name));
            assert_eq!(asked(&body).map_err(|problem| problem.field).err(), Some(Some(name.to_owned())));
        }
    }

    #[test]
    fn an_id_is_one_that_a_use_can_have() {
        let read = |text: &str| {
            let parameters = HashMap::from([("id".to_owned(), vec![text.to_owned()])]);
            id(&Request::new(Body::Empty).with_path_parameters(parameters))
        };
        assert_eq!(read("call#8231").map(|id| id.to_string()).ok().as_deref(), Some("call#8231"));
        for text in ["", "a b", "\u{e9}", "4242424242424242", &"x".repeat(256)] {
            assert_eq!(read(text).map_err(|problem| problem.field).err(), Some(Some("id".to_owned())), "{text}");
        }
    }
}
