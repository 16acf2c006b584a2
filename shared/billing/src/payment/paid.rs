//! What becomes of money after it was taken: kept, given back in parts or
//! whole, or disputed.
//!
//! A refund is an obligation: recorded first, asked for until the gateway has
//! said what became of it. All that was promised and all that went back is
//! never more than was taken (I-7).

use super::backoff;
use super::refund::{
    AskedBecause, LOOKS_BEFORE_A_REFUND_IS_STUCK, Portion, Refund, RefundReason, RefundRefusal, RefundStatus,
};
use crate::dunning::{after, days};
use crate::money::Money;
use crate::outcome::{Aftermath, Dispute, DisputeStanding, Receipt};
use crate::token::Brought;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    pub receipt: Receipt,
    pub at: Timestamp,
    /// By the gateway's latest word.
    pub aftermath: Aftermath,
    /// Those that we asked for, oldest first.
    pub refunds: Vec<Refund>,
    /// Whether the method paid with is known: a gateway may name it only days later.
    pub method_known: bool,
    /// Minor units of it that its subscription counts on: what is left, as far as it was told. None: it pays for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_on: Option<i64>,
    /// The tokens that came with it. None: none, or none that were kept account of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<Brought>,
    /// When the gateway is next asked whether the money is still ours; webhooks are lost.
    pub look_at: Option<Timestamp>,
}

/// How a payment that was made stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Succeeded,
    RefundDue,
    PartiallyRefunded,
    Refunded,
    Disputed,
}

/// Days after a payment on which the gateway is asked whether the money is
/// still ours. Cardholders may dispute for about four months.
const LOOKS: [i64; 5] = [1, 7, 30, 60, 120];

/// Days from one such look to the next when a bank takes longer than that to decide.
const LOOKS_WHILE_DISPUTED: i64 = 30;

impl Paid {
    pub(super) fn now(receipt: Receipt, aftermath: Aftermath, method_known: bool, now: Timestamp) -> Self {
        let look_at = Some(after(now, days(LOOKS[0])));
        Self { receipt, at: now, aftermath, refunds: vec![], method_known, counted_on: None, brought: None, look_at }
    }

    pub fn standing(&self) -> Standing {
        let gone = self.gone();
        let due = self.refunds.iter().any(Refund::is_due);
        match self.aftermath.dispute.as_ref().map(|dispute| dispute.standing) {
            Some(DisputeStanding::Open | DisputeStanding::Lost) => Standing::Disputed,
            Some(DisputeStanding::Won) | None => match () {
                () if self.is_gone() => Standing::Refunded,
                () if due => Standing::RefundDue,
                () if gone > 0 => Standing::PartiallyRefunded,
                () => Standing::Succeeded,
            },
        }
    }

    /// Minor units that went back, by our books or the gateway's, whichever knows of more.
    pub fn gone(&self) -> i64 {
        if self.dispute().is_some_and(|dispute| dispute.standing == DisputeStanding::Lost) {
            return self.receipt.amount.minor;
        }
        let done = |refund: &&Refund| matches!(refund.status, RefundStatus::Done { .. });
        let ours: i64 = self.refunds.iter().filter(done).map(|refund| refund.amount.minor).sum();
        ours.max(self.aftermath.returned)
    }

    /// Whether none of it is ours any more.
    pub(super) fn is_gone(&self) -> bool {
        let gone = self.gone();
        gone > 0 && gone >= self.receipt.amount.minor
    }

    /// Minor units that are neither gone nor promised.
    pub fn left(&self) -> i64 {
        let promised: i64 = self.refunds.iter().filter(|it| it.is_due()).map(|refund| refund.amount.minor).sum();
        // Less than nothing while the gateway counts a refund that we still ask for.
        (self.receipt.amount.minor - self.gone() - promised).max(0)
    }

    /// Promises to give `portion` back.
    pub(super) fn refunding(
        mut self,
        portion: Portion,
        because: AskedBecause,
        now: Timestamp,
    ) -> Result<Self, RefundRefusal> {
        let left = self.left();
        let minor = match portion {
            Portion::Part(amount) if amount.currency != self.receipt.amount.currency => {
                return Err(RefundRefusal::OtherCurrency);
            }
            Portion::Part(amount) => amount.minor,
            Portion::All => left,
        };
        if minor > left || left == 0 {
            return Err(RefundRefusal::MoreThanLeft(left));
        }
        if minor <= 0 {
            return Err(RefundRefusal::Nothing);
        }
        if self.is_disputed() {
            return Err(RefundRefusal::Disputed);
        }
        let amount = Money { minor, ..self.receipt.amount };
        self.push(amount, because.into(), now, now);
        Ok(self)
    }

    /// All that is left must go back, whatever else is going on.
    pub(super) fn owed_back(mut self, now: Timestamp) -> Self {
        let left = self.left();
        if left > 0 {
            self.push(Money { minor: left, ..self.receipt.amount }, RefundReason::NotOwed, now, now);
        }
        self
    }

    fn push(&mut self, amount: Money, reason: RefundReason, now: Timestamp, check_at: Timestamp) {
        let number = self.refunds.last().map_or(1, |last| last.number.saturating_add(1));
        let status = RefundStatus::Due { check_at, tries: 0 };
        self.refunds.push(Refund { number, amount, reason, asked_at: now, status });
    }

    /// The refund that the gateway is to be asked for next, if one is due.
    pub fn due_refund(&self, now: Timestamp) -> Option<&Refund> {
        self.refunds_to_ask_for().find(|refund| refund.due_at().is_some_and(|due_at| due_at <= now))
    }

    /// The number of the oldest refund that the gateway was asked for and has not settled.
    pub(crate) fn under_way(&self) -> Option<u32> {
        let asked = |refund: &&Refund| matches!(refund.status, RefundStatus::Due { tries: 1.., .. });
        self.refunds_to_ask_for().find(asked).map(|refund| refund.number)
    }

    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.refunds_to_ask_for().filter_map(Refund::due_at).chain(self.look_at).min()
    }

    /// None while the bank decides: gateways refuse to give disputed money back. None once it has decided for the
    /// customer: they have it.
    fn refunds_to_ask_for(&self) -> impl Iterator<Item = &Refund> {
        let stands = self.dispute().is_none_or(|dispute| dispute.standing == DisputeStanding::Won);
        self.refunds.iter().filter(move |_| stands)
    }

    /// What the gateway says now of the money. None: nothing new.
    ///
    /// A dispute that once was does not vanish, it is decided: an answer without it is older than what is known.
    pub(super) fn heard(&self, aftermath: Aftermath) -> Option<Self> {
        let dispute = aftermath.dispute.or_else(|| self.aftermath.dispute.clone());
        let aftermath = Aftermath { dispute, ..aftermath };
        (self.aftermath != aftermath).then(|| Self { aftermath, ..self.clone() })
    }

    /// Whether what was taken was never ours to keep.
    pub fn is_owed_back(&self) -> bool {
        self.refunds.iter().any(|refund| refund.reason == RefundReason::NotOwed)
    }

    /// The next look, after one was taken. Counted from the payment, so that a late look skips none but the missed.
    pub(super) fn looked(mut self, now: Timestamp) -> Self {
        let coming = LOOKS.iter().map(|day| after(self.at, days(*day)));
        let while_disputed = self.is_disputed().then(|| after(now, days(LOOKS_WHILE_DISPUTED)));
        self.look_at = coming.into_iter().find(|look_at| *look_at > now).or(while_disputed);
        self.promised_anew(now)
    }

    /// No gateway knows of it: there is nobody to ask.
    pub(super) fn never_looked(self) -> Self {
        Self { look_at: None, ..self }
    }

    /// The look that had no answer is taken again later.
    pub(super) fn looking_later(mut self, now: Timestamp) -> Self {
        if self.look_at.is_some_and(|look_at| look_at <= now) {
            self.look_at = Some(after(now, backoff(u32::MAX)));
        }
        self
    }

    /// Before the gateway is asked for refund `number`, or when it did not say: the next time is later.
    pub(super) fn asking_again(mut self, number: u32, now: Timestamp) -> Self {
        if let Some(RefundStatus::Due { check_at, tries }) = self.status_of(number) {
            *check_at = after(now, backoff(*tries));
            *tries = tries.saturating_add(1);
        }
        self
    }

    pub(super) fn refunded(mut self, number: u32, id: String, now: Timestamp) -> Self {
        if let Some(status @ RefundStatus::Due { .. }) = self.status_of(number) {
            *status = RefundStatus::Done { id, at: now };
        }
        self
    }

    /// The gateway will not do it: something may have become of the money that we have not heard of, so it is
    /// looked at. What someone asked for is theirs to ask for again.
    pub(super) fn refund_failed(mut self, number: u32, code: String, now: Timestamp) -> Self {
        if let Some(status @ RefundStatus::Due { .. }) = self.status_of(number) {
            *status = RefundStatus::Failed { code, at: now };
            self.look_at = Some(now);
        }
        self
    }

    /// What was never ours and is neither gone nor promised, because a refund of it failed, is promised anew,
    /// under a name of its own.
    fn promised_anew(mut self, now: Timestamp) -> Self {
        let failed = self.refunds.iter().filter(|refund| matches!(refund.status, RefundStatus::Failed { .. })).count();
        let tries = u32::try_from(failed).unwrap_or(u32::MAX);
        let left = self.left();
        // Each that failed was told of. After so many it is a person's to give back.
        if tries < LOOKS_BEFORE_A_REFUND_IS_STUCK
            && left > 0
            && self.refunds.iter().any(|refund| refund.reason == RefundReason::NotOwed)
        {
            let amount = Money { minor: left, ..self.receipt.amount };
            self.push(amount, RefundReason::NotOwed, now, after(now, backoff(tries)));
        }
        self
    }

    fn status_of(&mut self, number: u32) -> Option<&mut RefundStatus> {
        self.refunds.iter_mut().find(|refund| refund.number == number).map(|refund| &mut refund.status)
    }

    pub fn is_disputed(&self) -> bool {
        matches!(self.aftermath.dispute, Some(Dispute { standing: DisputeStanding::Open, .. }))
    }

    pub fn dispute(&self) -> Option<&Dispute> {
        self.aftermath.dispute.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use crate::outcome::Dispute;
    use crate::testing::{instant, off_session_payment};

    fn now() -> Timestamp {
        instant("2026-01-31T12:00:00Z")
    }

    /// 7,000.00 naira, taken just now.
    fn paid() -> Paid {
        let receipt = Receipt { id: "ch_1".to_owned(), amount: off_session_payment().amount };
        Paid::now(receipt, Aftermath::default(), true, now())
    }

    fn minor(minor: i64) -> Money {
        Money { minor, ..paid().receipt.amount }
    }

    fn promised(paid: Paid, amount: i64) -> Paid {
        let amount = minor(amount);
        paid.refunding(Portion::Part(amount), AskedBecause::RequestedByCustomer, now())
            .unwrap_or_else(|it| panic!("{it}"))
    }

    fn disputed(standing: DisputeStanding) -> Aftermath {
        let dispute = Dispute { id: "dp_1".to_owned(), reason: "fraudulent".to_owned(), standing };
        Aftermath { returned: 0, dispute: Some(dispute) }
    }

    #[test]
    fn parts_go_back_until_nothing_is_left() {
        let half = promised(paid(), 350_000);
        assert_eq!((half.standing(), half.left()), (Standing::RefundDue, 350_000));
        let half = half.refunded(1, "re_1".to_owned(), now());
        assert_eq!((half.standing(), half.left()), (Standing::PartiallyRefunded, 350_000));
        let all = promised(half, 350_000).refunded(2, "re_2".to_owned(), now());
        assert_eq!((all.standing(), all.left()), (Standing::Refunded, 0));
    }

    #[test]
    fn no_more_is_promised_than_is_left() {
        let half = promised(paid(), 350_000);
        for (amount, refusal) in [
            (minor(350_001), RefundRefusal::MoreThanLeft(350_000)),
            (minor(0), RefundRefusal::Nothing),
            (minor(-1), RefundRefusal::Nothing),
            (Money::new(1, Currency::from_code("USD").unwrap_or_else(|| panic!("USD"))), RefundRefusal::OtherCurrency),
        ] {
            let refused = half.clone().refunding(Portion::Part(amount), AskedBecause::Other, now());
            assert_eq!(refused, Err(refusal));
        }
        // What someone gave back by hand is gone too.
        let by_hand = paid().heard(Aftermath { returned: 700_000, dispute: None });
        let refused = by_hand.map(|it| it.refunding(Portion::All, AskedBecause::Other, now()));
        assert_eq!(refused, Some(Err(RefundRefusal::MoreThanLeft(0))));
    }

    #[test]
    fn a_dispute_that_was_told_of_does_not_vanish_in_an_older_answer() {
        for standing in [DisputeStanding::Open, DisputeStanding::Lost, DisputeStanding::Won] {
            let told = paid().heard(disputed(standing)).unwrap_or_else(|| panic!("news"));
            assert_eq!(told.heard(Aftermath::default()), None);
            let partly = told.heard(Aftermath { returned: 5, dispute: None }).unwrap_or_else(|| panic!("news"));
            assert_eq!(partly.dispute().map(|it| it.standing), Some(standing));
        }
    }

    #[test]
    fn what_the_gateway_counts_and_what_we_asked_for_are_the_same_money() {
        let half = promised(paid(), 350_000).refunded(1, "re_1".to_owned(), now());
        let told = half.heard(Aftermath { returned: 350_000, dispute: None });
        assert_eq!(told.map(|it| it.left()), Some(350_000));
    }

    #[test]
    fn what_was_never_ours_is_promised_until_it_is_gone() {
        let owed = paid().owed_back(now());
        assert_eq!(owed.clone().owed_back(now()), owed);
        let failed = owed.refund_failed(1, "insufficient_balance".to_owned(), now());
        assert_eq!((failed.due_refund(now()), failed.look_at), (None, Some(now())));
        let failed = failed.looked(now());
        let later = failed.due_refund(after(now(), days(1))).map(|refund| (refund.number, refund.amount.minor));
        assert_eq!(later, Some((2, 700_000)));
        // What was asked for is the asker's to ask for again.
        let asked = promised(paid(), 1).refund_failed(1, "refused".to_owned(), now());
        assert_eq!((asked.standing(), asked.left()), (Standing::Succeeded, 700_000));
    }

    #[test]
    fn no_more_is_promised_anew_than_somebody_has_left() {
        let owed = paid().owed_back(now());
        let Some(by_hand) = owed.heard(Aftermath { returned: 700_000, dispute: None }) else { panic!("that is news") };
        let failed = by_hand.refund_failed(1, "already_refunded".to_owned(), now());
        assert_eq!((failed.standing(), failed.looked(now()).refunds.len()), (Standing::Refunded, 1));
    }

    #[test]
    fn what_is_owed_back_waits_until_the_bank_has_decided() {
        let owed = paid().owed_back(now());
        let Some(open) = owed.heard(disputed(DisputeStanding::Open)) else { panic!("that is news") };
        assert_eq!((open.due_refund(Timestamp::MAX), open.due_at()), (None, paid().look_at));
        assert_eq!(open.looked(after(now(), days(121))).look_at, Some(after(now(), days(151))));
        let won = owed.heard(disputed(DisputeStanding::Won));
        assert_eq!(won.and_then(|it| it.due_refund(now()).map(|refund| refund.number)), Some(1));
    }

    #[test]
    fn disputed_money_is_not_given_back_besides() {
        let Some(open) = paid().heard(disputed(DisputeStanding::Open)) else { panic!("that is news") };
        assert_eq!(open.standing(), Standing::Disputed);
        assert_eq!(open.clone().refunding(Portion::All, AskedBecause::Other, now()), Err(RefundRefusal::Disputed));
        let won = open.heard(disputed(DisputeStanding::Won)).map(|it| (it.standing(), it.left()));
        assert_eq!(won, Some((Standing::Succeeded, 700_000)));
        let lost = open.heard(disputed(DisputeStanding::Lost)).map(|it| (it.standing(), it.left()));
        assert_eq!(lost, Some((Standing::Disputed, 0)));
    }

    #[test]
    fn the_gateway_is_asked_again_for_four_months() {
        let looks = std::iter::successors(Some(paid()), |it| it.look_at.map(|at| it.clone().looked(at)));
        let looked_after: Vec<i64> =
            looks.filter_map(|it| it.look_at).map(|at| (at.as_second() - now().as_second()) / 86_400).collect();
        assert_eq!(looked_after, [1, 7, 30, 60, 120]);
        // A look that comes late makes up for those that were missed.
        let late = paid().looked(after(now(), days(40)));
        assert_eq!(late.look_at, Some(after(now(), days(60))));
    }

    #[test]
    fn of_what_was_never_ours_what_is_left_goes_back() {
        let amounts = |paid: &Paid| paid.refunds.iter().map(|refund| refund.amount.minor).collect::<Vec<_>>();
        let promised_half = promised(paid(), 300_000).owed_back(now());
        assert_eq!((amounts(&promised_half), promised_half.left()), (vec![300_000, 400_000], 0));
        let told = paid().heard(Aftermath { returned: 100_000, dispute: None }).unwrap_or_else(|| panic!("news"));
        let owed = told.owed_back(now());
        assert_eq!(amounts(&owed), [600_000]);
        // Refused, it is what is left by then that is promised anew.
        let more = owed.heard(Aftermath { returned: 250_000, dispute: None }).unwrap_or_else(|| panic!("news"));
        let failed = more.refund_failed(1, "insufficient_balance".to_owned(), now()).looked(now());
        assert_eq!((amounts(&failed), failed.left()), (vec![600_000, 450_000], 0));
    }

    #[test]
    fn what_no_gateway_gives_back_is_promised_so_often_and_then_a_persons_to_give() {
        let looks = |owed: Paid, number| owed.refund_failed(number, "refused".to_owned(), now()).looked(now());
        let most = LOOKS_BEFORE_A_REFUND_IS_STUCK;
        let owed = (1..most).fold(paid().owed_back(now()), looks);
        assert_eq!((owed.refunds.len(), owed.left()), (most as usize, 0), "the last is due still");
        let owed = looks(owed, most);
        assert_eq!((owed.refunds.len(), owed.left()), (most as usize, 700_000));
    }

    #[test]
    fn a_refund_is_under_way_from_when_the_gateway_was_asked_until_it_says() {
        let two = promised(promised(paid(), 1), 2);
        assert_eq!(two.under_way(), None);
        let asked = two.asking_again(2, now());
        assert_eq!(asked.under_way(), Some(2));
        let both = asked.asking_again(1, now());
        assert_eq!(both.under_way(), Some(1));
        let first = both.refunded(1, "re_1".to_owned(), now());
        assert_eq!((first.under_way(), first.refunded(2, "re_2".to_owned(), now()).under_way()), (Some(2), None));
    }

    #[test]
    fn of_nothing_nothing_went_back() {
        let receipt = Receipt { id: "ch_1".to_owned(), amount: minor(0) };
        let nothing = Paid::now(receipt, Aftermath::default(), true, now());
        assert_eq!((nothing.standing(), nothing.left()), (Standing::Succeeded, 0));
    }
}
