//! The server: which part answers, and the faults that befall requests on the way.

use crate::faults::Fault;
use crate::gateway::{Answer, Begun, Body, Call, Gateway};
use crate::state::Shared;
use crate::{admin, webhooks};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const LARGEST_BODY: usize = 1 << 20;

pub(crate) fn app(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(State(shared): State<Arc<Shared>>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    // In a task of its own: once it has arrived, a request is carried out, even if its caller hangs up.
    match tokio::spawn(respond(shared, request)).await {
        Ok(Some(response)) => response,
        Ok(None) => {
            line.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the simulator itself failed\n").into_response(),
    }
}

/// None: the caller never hears anything.
async fn respond(shared: Arc<Shared>, request: Request) -> Option<Response> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Some((StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB\n").into_response());
    };
    let Ok(body) = String::from_utf8(body.to_vec()) else {
        return Some((StatusCode::BAD_REQUEST, "the body must be UTF-8\n").into_response());
    };
    let path = head.uri.path().trim_start_matches('/');
    let (part, rest) = path.split_once('/').unwrap_or((path, ""));
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let call = Call {
        method: head.method.to_string(),
        path: rest.to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
        id: shared.look_mut(|state| state.id("req_", 14)),
    };
    let answer = match (Gateway::named(part), part) {
        (Some(gateway), _) => simulate(&shared, gateway, &call).await?,
        (None, "admin" | "health") => admin::answer(&shared, part, &call),
        (None, _) => {
            let known = "there is /stripe, /paystack, /flitt, /paypal, /admin and /health";
            Answer::json(404, serde_json::json!({ "error": known }))
        }
    };
    webhooks::send_ready(&shared);
    Some(into_response(answer))
}

async fn simulate(shared: &Arc<Shared>, gateway: Gateway, call: &Call) -> Option<Answer> {
    let Some(operation) = gateway.operation(call) else {
        return Some(match shared.change(|state| gateway.begin(state, call)) {
            Begun::Proceed => shared.change(|state| gateway.perform(state, call)),
            Begun::Replay(answer) | Begun::Refuse(answer) => answer,
        });
    };
    let (begun, fault) = shared.change(|state| {
        state.count(gateway, operation);
        let begun = gateway.begin(state, call);
        let fault = match &begun {
            Begun::Proceed | Begun::Replay(_) => state.faults.on_request(gateway, operation),
            Begun::Refuse(_) => None,
        };
        (begun, fault)
    });
    let replay = match begun {
        Begun::Proceed => None,
        Begun::Replay(answer) => Some(answer),
        Begun::Refuse(answer) => return Some(answer),
    };
    match fault {
        Some(Fault::TimeoutBefore { ms }) => {
            if replay.is_none() {
                shared.change(|state| gateway.finish(state, call, None));
            }
            tokio::time::sleep(Duration::from_millis(ms)).await;
            return None;
        }
        Some(Fault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        _ => {}
    }
    let fails_before = fault == Some(Fault::Error500 {});
    let fails_after = fault == Some(Fault::Error500After {});
    let answer = match replay {
        Some(_) if fails_before || fails_after => gateway.broken(call),
        Some(answer) => answer,
        None => shared.change(|state| {
            let done = (!fails_before).then(|| gateway.perform(state, call));
            let answer = done.filter(|_| !fails_after).unwrap_or_else(|| gateway.broken(call));
            gateway.finish(state, call, Some(&answer));
            answer
        }),
    };
    if let Some(Fault::TimeoutAfter { ms }) = fault {
        // The merchant may hear of it by webhook long before the connection ends.
        webhooks::send_ready(shared);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        return None;
    }
    Some(answer)
}

fn into_response(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match answer.body {
        Body::Json(value) => ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response(),
        Body::Html(page) => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, page).into_response()
        }
        Body::Form(form) => ([(header::CONTENT_TYPE, "application/x-www-form-urlencoded")], form).into_response(),
        Body::Empty => ().into_response(),
    };
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// A connection that can be cut: what is then written to it never leaves, and it closes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicBool>);

impl Line {
    fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }
}

#[derive(Debug)]
pub(crate) struct Lines(pub(crate) TcpListener);

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    line: Line,
}

impl Listener for Lines {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        // Without it small answers wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        (Connection { stream, line: Line::default() }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().line.clone()
    }
}

impl Connection {
    fn writable(&self) -> io::Result<()> {
        if self.line.0.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writable()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
