//! What billing staff do on behalf of a customer.

use super::{Billing, Opening, RequestError};
use crate::id::{CustomerId, IdempotencyKey};
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, Write};
use crate::subscription::{Event, Intervention, Refusal, Subscription};
use crate::token::Tokens;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Grants `intervention`, once for each key, or says why not.
    pub async fn intervene(
        &self,
        customer: &CustomerId,
        intervention: &Intervention,
        key: &IdempotencyKey,
        fingerprint: &str,
    ) -> Result<Subscription, RequestError> {
        let opening = Opening { customer, key, fingerprint };
        let more = |it: &Subscription, _| match intervention {
            Intervention::ChangePrice { .. } => vec![Key::Plan(it.order.plan.id.clone())],
            Intervention::ResetTokens => vec![Key::Tokens(it.customer.clone())],
            Intervention::Brand { brand } => brand.iter().cloned().map(Key::Brand).collect(),
            Intervention::Extend { .. }
            | Intervention::ChangeDates { .. }
            | Intervention::Comp { .. }
            | Intervention::KeepPrice => vec![],
        };
        let decide = |it: &Subscription, found: &mut Found, now| {
            if matches!(intervention, Intervention::Brand { brand: Some(_) }) && found.brand().is_none() {
                return Err(Refusal::NoSuchBrand);
            }
            let newest = found.plan().map(|it| it.plan);
            let tokens = found.tokens().unwrap_or_else(|| Tokens::none(customer.clone()));
            let events = it.intervene(intervention, tokens.balance, newest.as_ref(), now)?;
            let reset = events
                .iter()
                .find_map(|event| if let Event::TokensReset { to, .. } = event { Some(*to) } else { None });
            let writes = reset.map(|balance| Write::next(Record::Tokens(tokens.set(balance, &it.order.plan))));
            Ok((events, writes.into_iter().collect()))
        };
        self.grant(opening, more, decide).await
    }
}
