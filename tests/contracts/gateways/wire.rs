//! Small servers on the loopback: one that answers as no gateway should, one
//! that writes down what it passes on, one that webhooks are delivered to.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// What was sent to one of the servers.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// How a server answers everything.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// That status, and that body, called JSON.
    Text(u16, String),
    /// The same, called a page.
    Page(u16, String),
    /// PayPal's token to whoever asks for one, and to all else that.
    Granting(Box<Reply>),
    /// Go there.
    Redirect(u16, String),
    /// So many bytes, and then more of them.
    Endless,
    /// A byte now and then.
    Drip,
    /// Half an answer, and then the connection is gone.
    Broken,
    Never,
    /// Whatever the server at this address answers.
    Forwarded {
        to: String,
        with: reqwest::Client,
    },
    /// The same, with the first of these texts in it turned into the second.
    Altered {
        to: String,
        with: reqwest::Client,
        from: String,
        into: String,
    },
}

#[derive(Clone)]
struct Serving {
    reply: Reply,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// An address at which nobody listens, nor anybody else comes to listen for as long as the socket is held.
pub(crate) fn nobody() -> (TcpSocket, String) {
    let held = TcpSocket::new_v4().expect("a socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}", held.local_addr().expect("an address"));
    (held, url)
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Server {
    /// On a free port, for as long as the test runs.
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let app = Router::new().fallback(serve).with_state(Serving { reply, sent: sent.clone() });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, sent }
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was sent, once there is so much of it.
    pub(crate) async fn sent_at_least(&self, count: usize) -> Vec<Sent> {
        for _ in 0..2_000 {
            if self.sent().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sent = self.sent();
        assert!(sent.len() >= count, "{} of {count} came", sent.len());
        sent
    }
}

async fn serve(State(serving): State<Serving>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let sent = Sent { method: head.method, path, headers: head.headers, body };
    serving.sent.lock().unwrap_or_else(PoisonError::into_inner).push(sent.clone());
    if let Reply::Granting(reply) = serving.reply {
        let asked = sent.path.ends_with("/v1/oauth2/token");
        return answer(if asked { Reply::Text(200, GRANT.to_owned()) } else { *reply }, sent).await;
    }
    answer(serving.reply, sent).await
}

/// What PayPal's other calls are made with.
const GRANT: &str = r#"{"access_token":"A21AA","token_type":"Bearer","expires_in":32400}"#;

async fn answer(reply: Reply, sent: Sent) -> Response {
    let json = [("content-type", "application/json")];
    let pieces = |piece: &'static [u8], every: Duration| {
        stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            Some((Ok::<_, std::io::Error>(piece), ()))
        })
    };
    match reply {
        Reply::Status(status) => code(status).into_response(),
        Reply::Text(status, text) => (code(status), json, text).into_response(),
        Reply::Page(status, text) => (code(status), [("content-type", "text/html")], text).into_response(),
        Reply::Redirect(status, to) => (code(status), [("location", to)]).into_response(),
        Reply::Endless => (json, Body::from_stream(pieces(&[b' '; 64 * 1024], Duration::ZERO))).into_response(),
        Reply::Drip => (json, Body::from_stream(pieces(b" ", Duration::from_millis(20)))).into_response(),
        Reply::Broken => {
            let half = [Ok(r#"{"status": true, "data": {"#), Err(std::io::Error::other("gone"))];
            (json, Body::from_stream(stream::iter(half))).into_response()
        }
        Reply::Never | Reply::Granting(_) => std::future::pending().await,
        Reply::Forwarded { to, with } => {
            let (status, body) = forward(&to, &with, sent).await;
            (status, json, body).into_response()
        }
        Reply::Altered { to, with, from, into } => {
            let (status, body) = forward(&to, &with, sent).await;
            let text = String::from_utf8(body.to_vec()).expect("text");
            (status, json, text.replacen(&from, &into, 1)).into_response()
        }
    }
}

pub(crate) async fn forward(to: &str, with: &reqwest::Client, sent: Sent) -> (StatusCode, Bytes) {
    let mut headers = sent.headers;
    headers.remove("host");
    let request = with.request(sent.method, format!("{to}{}", sent.path)).headers(headers).body(sent.body);
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.bytes().await.expect("a body"))
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}
