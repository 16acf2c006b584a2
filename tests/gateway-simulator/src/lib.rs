//! A simulator of payment gateways: one server on the loopback that speaks their
//! wire protocols, keeps state, shows payment pages, sends signed webhooks, goes
//! wrong to order, and keeps books of its own for whoever checks the results.
//!
//! It is written from the gateways' documentation and shares nothing with the
//! code that it is used to test.
//!
//! Modules, outside in: `server` takes requests and applies `faults`;
//! `gateway` names the gateways, each a module of its own (`stripe`, `paystack`,
//! `flitt`, `paypal`) over `pages`, `webhooks` and `books`; `admin` is for
//! tests and people; `state` holds and saves everything.

#![cfg_attr(test, allow(clippy::expect_used))]

mod admin;
mod books;
mod faults;
mod flitt;
mod gateway;
mod pages;
mod paypal;
mod paystack;
mod server;
mod state;
mod stripe;
mod table;
mod webhooks;

#[cfg(test)]
mod testing;

use serde_json::Value;
use state::Shared;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const TICK: Duration = Duration::from_millis(100);
/// At the latest so long after a change it is saved.
const SAVE: Duration = Duration::from_millis(800);
const PATIENCE: Duration = Duration::from_secs(2);

/// How a simulator starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its state outlives it. None: nowhere.
    pub state: Option<PathBuf>,
    /// As for `POST /admin/configure`; what is absent stays as it was saved, or as it is by default.
    pub configure: Value,
    /// How long it waits before each further attempt to deliver a webhook.
    pub webhook_retries: Vec<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        let webhook_retries = [200, 1_000, 3_000, 10_000].map(Duration::from_millis).to_vec();
        Self { state: None, configure: Value::Object(serde_json::Map::new()), webhook_retries }
    }
}

/// A running simulator. It stops when it is dropped; [`Simulator::shutdown`] also waits for that.
#[derive(Debug)]
pub struct Simulator {
    url: String,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    keeper: JoinHandle<()>,
}

/// Serves on a listener, which must be on the loopback.
///
/// # Errors
/// When the listener is not on the loopback, the state cannot be read, or an option is not accepted.
pub async fn serve(listener: TcpListener, options: Options) -> io::Result<Simulator> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the simulator listens on the loopback only"));
    }
    let url = format!("http://{address}");
    let mut state = state::load(options.state.as_deref())?;
    state.base.clone_from(&url);
    admin::order(&mut state, "configure", &options.configure.to_string())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    state.webhooks.resume();
    let shared = Arc::new(Shared::new(state, options.state, webhook_client()?, options.webhook_retries));
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(run(listener, Arc::clone(&shared), stopped.clone()));
    let keeper = tokio::spawn(keep(Arc::clone(&shared), stopped));
    Ok(Simulator { url, shared, stop, server, keeper })
}

/// A client for webhooks: plain HTTP on this machine, no proxy, no redirects (gateways follow none).
fn webhook_client() -> io::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        // No authority is trusted, because nothing outside this machine is ever called.
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(io::Error::other)
}

async fn run(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let app = server::app(shared).into_make_service_with_connect_info::<server::Line>();
    let mut last = stopped.clone();
    let serving = axum::serve(server::Lines(listener), app).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    tokio::select! {
        _ = serving => {}
        // Requests that wait on purpose are not waited for.
        () = async {
            let _ = last.wait_for(|stop| *stop).await;
            tokio::time::sleep(PATIENCE).await;
        } => {}
    }
}

/// Lets time do its work, and saves.
async fn keep(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    webhooks::send_ready(&shared);
    let mut next = tokio::time::Instant::now();
    loop {
        let stop = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => true,
            () = tokio::time::sleep(TICK) => false,
        };
        if stop {
            return;
        }
        shared.tick();
        webhooks::send_ready(&shared);
        let began = tokio::time::Instant::now();
        if began >= next {
            save(&shared).await;
            // A large state takes longer to write, and is written less often.
            next = began + (began.elapsed() * 10).min(SAVE);
        }
    }
}

async fn save(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    match tokio::task::spawn_blocking(move || shared.save()).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => eprintln!("the state could not be saved: {error}"),
    }
}

impl Simulator {
    /// Starts one on a free port of 127.0.0.1, for a test.
    ///
    /// # Errors
    /// As [`serve`], or when no port is free.
    pub async fn start(options: Options) -> io::Result<Self> {
        serve(TcpListener::bind("127.0.0.1:0").await?, options).await
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where Stripe's API begins.
    #[must_use]
    pub fn stripe(&self) -> String {
        format!("{}/stripe", self.url)
    }

    /// Where Paystack's API begins.
    #[must_use]
    pub fn paystack(&self) -> String {
        format!("{}/paystack", self.url)
    }

    /// Where Flitt's API begins.
    #[must_use]
    pub fn flitt(&self) -> String {
        format!("{}/flitt", self.url)
    }

    /// Where PayPal's API begins.
    #[must_use]
    pub fn paypal(&self) -> String {
        format!("{}/paypal", self.url)
    }

    /// `POST /admin/<command>` without the detour through HTTP: `configure`, `faults`, `webhooks`,
    /// `webhooks/release`, `webhooks/resend`, `clock`, `forget-keys`, `reset`, `dispute`, and each gateway's own.
    ///
    /// # Errors
    /// The text that the route would refuse with.
    pub fn admin(&self, command: &str, body: &Value) -> Result<Value, String> {
        let outcome = self.shared.change(|state| admin::order(state, command, &body.to_string()));
        webhooks::send_ready(&self.shared);
        outcome
    }

    /// `DELETE /admin/faults`.
    pub fn clear_faults(&self) {
        self.shared.change(|state| state.faults.clear());
    }

    /// `GET /admin/books`, all of it.
    #[must_use]
    pub fn books(&self) -> Value {
        self.shared.look(|state| admin::books(state, &books::Filter::default()))
    }

    /// Stops serving and saves the state.
    ///
    /// # Errors
    /// When the state cannot be saved.
    pub async fn shutdown(mut self) -> io::Result<()> {
        let _ = self.stop.send(true);
        let _ = (&mut self.server).await;
        let _ = (&mut self.keeper).await;
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.save()).await.map_err(io::Error::other)?
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.server.abort();
        self.keeper.abort();
    }
}
