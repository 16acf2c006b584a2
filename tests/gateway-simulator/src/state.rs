//! Everything the simulator knows, behind one lock, and how it survives a restart.

use crate::books::Books;
use crate::faults::Faults;
use crate::gateway::{Gateway, Operation};
use crate::webhooks::Webhooks;
use crate::{flitt, paypal, paystack, stripe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

/// More rows than any test writes; past it the simulator asks for a reset rather than for more memory.
const MOST_ROWS: usize = 500_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) stripe: StripeSettings,
    pub(crate) paystack: PaystackSettings,
    pub(crate) flitt: FlittSettings,
    pub(crate) paypal: PaypalSettings,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StripeSettings {
    pub(crate) secret_key: String,
    pub(crate) webhook_secret: String,
    pub(crate) webhook_url: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaystackSettings {
    pub(crate) secret_key: String,
    pub(crate) webhook_url: Option<String>,
    /// Paystack's fees come on top of the amount.
    #[serde(default)]
    pub(crate) customer_bears_fees: bool,
    /// Saved cards are charged only after the customer approved.
    #[serde(default)]
    pub(crate) two_factor: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FlittSettings {
    pub(crate) merchant_id: String,
    pub(crate) payment_key: String,
    /// The default of the merchant's portal: an order may name another address.
    pub(crate) webhook_url: Option<String>,
    /// Whether Flitt lets the merchant charge a saved card without its owner.
    pub(crate) recurring: bool,
    pub(crate) currencies: Vec<String>,
    pub(crate) callbacks: flitt::CallbackForm,
    /// Whether reversals are told of; Flitt does not say.
    pub(crate) reversal_callbacks: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaypalSettings {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) webhook_id: String,
    pub(crate) webhook_url: Option<String>,
    /// A method saved with a purchase gets its id later, by webhook.
    #[serde(default)]
    pub(crate) vault_by_webhook: bool,
    /// No two captures for one invoice.
    #[serde(default)]
    pub(crate) block_duplicate_invoices: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stripe: StripeSettings {
                secret_key: "sk_test_simulator_stripe".to_owned(),
                webhook_secret: "whsec_simulator_stripe".to_owned(),
                webhook_url: None,
            },
            paystack: PaystackSettings {
                secret_key: "sk_test_simulator_paystack".to_owned(),
                webhook_url: None,
                customer_bears_fees: false,
                two_factor: false,
            },
            flitt: FlittSettings {
                merchant_id: "1549901".to_owned(),
                payment_key: "key_simulator_flitt".to_owned(),
                webhook_url: None,
                recurring: true,
                currencies: ["GEL", "USD", "EUR"].map(str::to_owned).to_vec(),
                callbacks: flitt::CallbackForm::default(),
                reversal_callbacks: false,
            },
            paypal: PaypalSettings {
                client_id: "client_simulator_paypal".to_owned(),
                client_secret: "secret_simulator_paypal".to_owned(),
                webhook_id: "WH-SIMULATOR-PAYPAL".to_owned(),
                webhook_url: None,
                vault_by_webhook: false,
                block_duplicate_invoices: false,
            },
        }
    }
}

impl Settings {
    pub(crate) fn webhook_url(&self, gateway: Gateway) -> Option<&str> {
        match gateway {
            Gateway::Stripe => self.stripe.webhook_url.as_deref(),
            Gateway::Paystack => self.paystack.webhook_url.as_deref(),
            Gateway::Flitt => self.flitt.webhook_url.as_deref(),
            Gateway::Paypal => self.paypal.webhook_url.as_deref(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) books: Books,
    pub(crate) webhooks: Webhooks,
    pub(crate) requests: BTreeMap<Gateway, BTreeMap<Operation, u64>>,
    pub(crate) stripe: stripe::Store,
    pub(crate) paystack: paystack::Store,
    pub(crate) flitt: flitt::Store,
    pub(crate) paypal: paypal::Store,
    /// Seconds that the simulator's time is ahead of the machine's.
    pub(crate) ahead: i64,
    serial: u64,
    salt: String,
    /// Where people and clients reach the simulator.
    #[serde(skip)]
    pub(crate) base: String,
    #[serde(skip)]
    changed: bool,
}

impl State {
    /// Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        i64::try_from(machine).unwrap_or(i64::MAX).saturating_add(self.ahead)
    }

    /// RFC 3339 with milliseconds, as Paystack writes time.
    pub(crate) fn stamp(&self) -> String {
        let machine = jiff::Timestamp::now();
        let time = machine.checked_add(jiff::SignedDuration::from_secs(self.ahead)).unwrap_or(machine);
        time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// Never the same twice, in any life of the simulator.
    pub(crate) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// `prefix` and `length` letters and digits that nobody can guess.
    pub(crate) fn id(&mut self, prefix: &str, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        if self.salt.is_empty() {
            self.salt = (0..4).map(|_| format!("{:016x}", RandomState::new().build_hasher().finish())).collect();
        }
        let serial = self.serial();
        let digest = Sha512::digest(format!("{}|{serial}", self.salt));
        let unique = digest.iter().take(length).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        prefix.chars().chain(unique).collect()
    }

    pub(crate) fn count(&mut self, gateway: Gateway, operation: Operation) {
        *self.requests.entry(gateway).or_default().entry(operation).or_default() += 1;
    }

    pub(crate) fn full(&self) -> bool {
        let rows = self.stripe.rows() + self.paystack.rows() + self.flitt.rows() + self.paypal.rows();
        rows + self.books.rows() > MOST_ROWS
    }

    /// Something changed that must be saved.
    pub(crate) fn touch(&mut self) {
        self.changed = true;
    }

    /// Back to the first day, but for the settings, the address and the ids that were given out.
    pub(crate) fn reset(&mut self) {
        let fresh = Self {
            settings: self.settings.clone(),
            serial: self.serial,
            salt: std::mem::take(&mut self.salt),
            base: std::mem::take(&mut self.base),
            changed: true,
            ..Self::default()
        };
        *self = fresh;
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    file: Option<PathBuf>,
    pub(crate) webhook_client: reqwest::Client,
    pub(crate) webhook_retries: Vec<Duration>,
    pub(crate) webhook_slots: tokio::sync::Semaphore,
}

impl Shared {
    pub(crate) fn new(
        state: State,
        file: Option<PathBuf>,
        webhook_client: reqwest::Client,
        webhook_retries: Vec<Duration>,
    ) -> Self {
        let webhook_slots = tokio::sync::Semaphore::new(64);
        Self { state: Mutex::new(state), file, webhook_client, webhook_retries, webhook_slots }
    }

    /// To look.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// To change what a restart may forget.
    pub(crate) fn look_mut<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// To change; saved soon after.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.changed = true;
        change(&mut state)
    }

    /// Lets time do its work; each piece of it says itself when something changed.
    pub(crate) fn tick(&self) {
        let mut state = self.lock();
        for gateway in Gateway::ALL {
            gateway.tick(&mut state);
        }
    }

    /// One bad request must not end the simulator: what it left behind stays usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the state if it changed since it was last written. The file is replaced whole or not at all.
    pub(crate) fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes = {
            let mut state = self.lock();
            if !state.changed {
                return Ok(());
            }
            state.changed = false;
            serde_json::to_vec(&*state)?
        };
        let written = replace(file, &bytes);
        if written.is_err() {
            self.lock().changed = true;
        }
        written
    }
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut next = file.as_os_str().to_owned();
    next.push(".next");
    fs::write(&next, bytes)?;
    fs::rename(&next, file)
}

/// The state that an earlier life saved, or a new one.
pub(crate) fn load(file: Option<&Path>) -> io::Result<State> {
    let Some(file) = file else { return Ok(State::default()) };
    let mut state: State = match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} does not hold a state: {error}", file.display()))
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
        Err(error) => return Err(error),
    };
    state.stripe.restarted();
    Ok(state)
}
