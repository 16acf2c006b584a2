//! The tokens that came with a payment follow its money.

use super::{Paid, Payment};
use crate::catalog::Plan;
use crate::subscription::Event;
use crate::token::Tokens;

impl Payment {
    /// The payment with which a period of `plan` has begun, and with it what is `held`.
    #[must_use]
    pub(crate) fn bringing(self, held: &Tokens, plan: &Plan) -> Self {
        self.with_paid(|paid| Paid { brought: held.brought(plan), ..paid })
    }

    /// Whether tokens came with it that are to be taken back, or put back.
    pub(crate) fn moves_tokens(&self) -> bool {
        self.paid().is_some_and(|paid| paid.brought.is_some_and(|it| it.taken.is_some() != paid.is_gone()))
    }

    /// The payment once its tokens are where its money is; and what is `held` then, and what happened, if any of them move.
    #[must_use]
    pub(crate) fn moving_tokens(self, held: &Tokens) -> (Self, Option<(Tokens, Event)>) {
        let follows = |paid: &Paid| Some((held.following(paid.brought?, paid.is_gone())?, paid.standing()));
        let Some(((next, brought), because)) = self.paid().and_then(follows) else { return (self, None) };
        let (payment, more, fewer) =
            (self.id.clone(), next.balance.saturating_sub(held.balance), held.balance.saturating_sub(next.balance));
        let event = match (more, fewer) {
            (0, 0) => None,
            (0, tokens) => Some(Event::TokensTakenBack { payment, tokens, because }),
            (tokens, _) => Some(Event::TokensPutBack { payment, tokens }),
        };
        (self.with_paid(|paid| Paid { brought: Some(brought), ..paid }), event.map(|event| (next, event)))
    }
}
