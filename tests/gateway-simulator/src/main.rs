//! The gateway simulator, for a local stack.

use gateway_simulator::{Options, serve};
use serde_json::{Map, Value, json};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
gateway-simulator [--port 4010] [--state FILE]
                  [--stripe-secret-key KEY] [--stripe-webhook-secret SECRET] [--stripe-webhook-url URL]
                  [--paystack-secret-key KEY] [--paystack-webhook-url URL]
                  [--flitt-merchant-id ID] [--flitt-payment-key KEY] [--flitt-webhook-url URL]
                  [--paypal-client-id ID] [--paypal-client-secret SECRET] [--paypal-webhook-id ID]
                  [--paypal-webhook-url URL]

Listens on 127.0.0.1 only. Each option can also be set in the environment, as SIMULATOR_STRIPE_SECRET_KEY and so on.";

/// Option, and where it belongs in the configuration.
const SETTINGS: [(&str, &str, &str); 12] = [
    ("stripe-secret-key", "stripe", "secret_key"),
    ("stripe-webhook-secret", "stripe", "webhook_secret"),
    ("stripe-webhook-url", "stripe", "webhook_url"),
    ("paystack-secret-key", "paystack", "secret_key"),
    ("paystack-webhook-url", "paystack", "webhook_url"),
    ("flitt-merchant-id", "flitt", "merchant_id"),
    ("flitt-payment-key", "flitt", "payment_key"),
    ("flitt-webhook-url", "flitt", "webhook_url"),
    ("paypal-client-id", "paypal", "client_id"),
    ("paypal-client-secret", "paypal", "client_secret"),
    ("paypal-webhook-id", "paypal", "webhook_id"),
    ("paypal-webhook-url", "paypal", "webhook_url"),
];

fn main() -> ExitCode {
    let outcome = options().and_then(|(port, options)| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.and_then(|runtime| runtime.block_on(run(port, options))).map_err(|error| error.to_string())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(port: u16, options: Options) -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let simulator = serve(listener, options).await?;
    println!("gateway simulator: {}", simulator.url());
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    simulator.shutdown().await
}

fn options() -> Result<(u16, Options), String> {
    let mut given = Map::new();
    let names = ["port", "state"].into_iter().chain(SETTINGS.map(|(name, _, _)| name));
    for name in names.clone() {
        let variable = format!("SIMULATOR_{}", name.to_ascii_uppercase().replace('-', "_"));
        if let Ok(value) = std::env::var(variable) {
            given.insert(name.to_owned(), Value::String(value));
        }
    }
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").filter(|name| names.clone().any(|known| known == *name));
        let Some(name) = name else { return Err(USAGE.to_owned()) };
        let value = arguments.next().ok_or_else(|| format!("--{name} needs a value\n\n{USAGE}"))?;
        given.insert(name.to_owned(), Value::String(value));
    }
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let port = text("port").unwrap_or("4010").parse().map_err(|_| "--port must be a port".to_owned())?;
    let mut configure = json!({});
    for (name, gateway, field) in SETTINGS {
        if let Some(value) = text(name) {
            configure[gateway][field] = json!(value);
        }
    }
    Ok((port, Options { state: text("state").map(Into::into), configure, ..Options::default() }))
}
