//! What a gateway keeps of the catalogue, brought in line with ours.
//!
//! We name the amount with each payment, so nothing here decides what anybody
//! pays. It is for whoever sees the plans at the gateway: its dashboard, its
//! reports, and what is built on its products and prices.

use super::Clients;
use billing::catalog::Plan;
use billing::id::PlanId;
use billing::payment::Gateway;
use billing::ports::GatewayError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whose products and prices, and what may be done about them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    pub gateway: Gateway,
    /// Else nothing is changed, and what would be is told.
    #[serde(default)]
    pub apply: bool,
    /// Whether what was edited by hand at the gateway is overwritten too.
    #[serde(default)]
    pub force_update: bool,
}

/// Names and values in the gateway's words.
pub type Fields = BTreeMap<&'static str, String>;

/// How something at the gateway compares with the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub plan: PlanId,
    /// By its lookup key, or by the gateway's own id where it has none. None: the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    pub change: Kind,
    /// What differs: as it is there, and as it should be.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub from: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub to: Fields,
    pub applied: bool,
    /// Why it was skipped, or could not be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    CreateProduct,
    UpdateProduct,
    /// The plan was withdrawn.
    ArchiveProduct,
    CreatePrice,
    /// What of a price can change: all but the amount and the interval.
    UpdatePrice,
    /// A new price takes the old one's lookup key, and the old one is archived.
    ReplacePrice,
    /// The plan has no such price any more.
    ArchivePrice,
    InSync,
    /// Edited by hand: it differs although the catalogue has not changed, and stays as it is.
    Drift,
    /// The gateway cannot take it.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub changes: Vec<Change>,
    pub summary: Summary,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub in_sync: u32,
    pub drift: u32,
    pub skipped: u32,
    /// What there was to do, and how much of that was done.
    pub changes: u32,
    pub applied: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error("{} has nothing to sync: amounts are sent with each payment", .0.as_str())]
    NothingKept(Gateway),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl Clients {
    /// Compares `plans`, withdrawn ones too, with what the gateway has, and
    /// does what is asked about it. Nothing is begun once `patience` is over;
    /// what is left then, the next call does. `at` is the world's time.
    pub async fn sync(
        &self,
        asked: &SyncRequest,
        plans: &[Plan],
        at: Timestamp,
        patience: Duration,
    ) -> Result<Report, SyncError> {
        match asked.gateway {
            Gateway::Stripe => Ok(Report::of(self.stripe()?.sync(asked, plans, at, patience).await?)),
            Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => Err(SyncError::NothingKept(asked.gateway)),
        }
    }
}

impl Report {
    fn of(changes: Vec<Change>) -> Self {
        let mut summary = Summary::default();
        for change in &changes {
            let count = match change.change {
                Kind::InSync => &mut summary.in_sync,
                Kind::Drift => &mut summary.drift,
                Kind::Skipped => &mut summary.skipped,
                Kind::CreateProduct
                | Kind::UpdateProduct
                | Kind::ArchiveProduct
                | Kind::CreatePrice
                | Kind::UpdatePrice
                | Kind::ReplacePrice
                | Kind::ArchivePrice => &mut summary.changes,
            };
            *count += 1;
            summary.applied += u32::from(change.applied);
        }
        Self { changes, summary }
    }
}
