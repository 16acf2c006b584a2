//! The words of a mail. A *letter* is what a customer reads, the same as text
//! and as HTML.

use crate::brands::{escaped, ground, head};
use aws_sdk_sesv2::error::BuildError;
use aws_sdk_sesv2::types::{Body, Content, EmailContent, Message};
use billing::brand::Brand;
use billing::calendar::zone::Zone;
use billing::catalog::PriceTier;
use billing::mail::{About, OverageNotice, Passed, PaymentNeeded, PriceNotice, Suspended, TrialEnding};
use billing::outcome::Remedy;
use jiff::Timestamp;

/// `8 March 2026, 10:05 Africa/Lagos`.
fn told(at: Timestamp, zone: &Zone) -> String {
    zone.clocks(at).strftime("%-d %B %Y, %H:%M %Q").to_string()
}

/// One paragraph after the other, without a trace of who opened it.
#[derive(Debug)]
pub(super) struct Letter {
    subject: String,
    paragraphs: Vec<Paragraph>,
}

#[derive(Debug)]
enum Paragraph {
    Text(String),
    Link(String),
}

pub(super) fn letter(about: &About, zone: &Zone, link: &str) -> Letter {
    match about {
        About::PaymentNeeded(about) => payment_needed(about, zone, link),
        About::Suspended(about) => suspended(about, zone, link),
        About::TrialEnding(about) => trial_ending(about, zone, link),
        About::PriceChange(about) => price_change(about, zone),
        About::Overage(about) => overage(about, zone),
    }
}

fn price_change(about: &PriceNotice, zone: &Zone) -> Letter {
    let (plan, before, amount) = (&about.plan, about.until_then, about.amount);
    let from = told(about.changes_at, zone);
    let (what, costs) = match before == amount {
        true => (
            plan.clone(),
            format!("From the period that begins on {from} you have its newest version, which costs {amount} too."),
        ),
        false => (
            format!("The price of {plan}"),
            format!(
                "What you have costs {before} a period until then, and {amount} a period from the one that begins on {from}."
            ),
        ),
    };
    let discount = about.is_discounted.then_some("What is left of your discount comes off that.");
    let rest = ["There is nothing you need to do.", "If you cancel before, nothing more is charged."];
    let said = [format!("Hello, your subscription to {plan} changes."), costs].into_iter();
    let paragraphs = said.chain(discount.into_iter().chain(rest).map(str::to_owned)).map(Paragraph::Text).collect();
    Letter { subject: format!("{what} changes"), paragraphs }
}

fn overage(about: &OverageNotice, zone: &Zone) -> Letter {
    let plan = &about.plan;
    let ends = told(about.period_ends_at, zone);
    let rest = [
        "What is used beyond that comes with your next invoice.".to_owned(),
        format!("This period ends on {ends}. Then what your plan includes is there again."),
        "There is nothing you need to do.".to_owned(),
    ];
    let first = format!("Hello, you have used more than {plan} includes in a period.");
    let paragraphs = std::iter::once(first).chain(about.meters.iter().map(more_of)).chain(rest);
    Letter {
        subject: format!("You have used more than {plan} includes"),
        paragraphs: paragraphs.map(Paragraph::Text).collect(),
    }
}

/// `Calls: 100 are included. More costs USD 0.20 a call up to 50 more, then USD 0.15 a call up to 550 more.`
fn more_of(it: &Passed) -> String {
    let per = match it.price.per.get() {
        1 => format!("a {}", it.unit.one),
        per => format!("for {per} {}", it.unit.many),
    };
    let tier = |tier: &PriceTier| {
        let fee = tier.flat.filter(|flat| flat.minor > 0).map_or(String::new(), |flat| format!(" and {flat} once"));
        let until = tier.up_to.map_or(String::new(), |most| format!(" up to {most} more"));
        format!("{} {per}{fee}{until}", tier.amount)
    };
    let tiers: Vec<String> = it.price.tiers.iter().map(tier).collect();
    let end = it.price.tiers.last().and_then(|tier| tier.up_to).map_or("", |_| " Beyond that there is no more.");
    format!("{}: {} are included. More costs {}.{end}", it.name, it.included, tiers.join(", then "))
}

fn trial_ending(about: &TrialEnding, zone: &Zone, link: &str) -> Letter {
    let (plan, amount) = (&about.plan, about.amount);
    let until = told(about.trial_ends_at, zone);
    let (happens, wanted) = match about.has_method {
        _ if amount.minor == 0 => (
            "The first period after it costs nothing: it goes on by itself.".to_owned(),
            "For what follows you can leave a payment method here:",
        ),
        true => (
            format!("Then {amount} is charged for the first period, to the payment method that you have left."),
            "You can leave another one here:",
        ),
        false => (
            format!("If you want to keep it, {amount} is to be paid for the first period."),
            "Please leave a payment method here:",
        ),
    };
    Letter {
        subject: format!("Your trial of {plan} is about to end"),
        paragraphs: vec![
            Paragraph::Text(format!("Hello, your trial of {plan} ends on {until}.")),
            Paragraph::Text(happens),
            Paragraph::Text(wanted.to_owned()),
            Paragraph::Link(link.to_owned()),
            Paragraph::Text("If you cancel before, nothing is charged.".to_owned()),
        ],
    }
}

fn payment_needed(about: &PaymentNeeded, zone: &Zone, link: &str) -> Letter {
    let (plan, amount) = (&about.plan, about.amount);
    let happened = match about.remedy {
        Some(Remedy::AskCustomer) => format!("your bank wants you to confirm the payment of {amount} for {plan}."),
        Some(Remedy::NewMethod | Remedy::FewTries | Remedy::RetryLater | Remedy::OurFault) => {
            format!("the payment of {amount} for {plan} was declined.")
        }
        None => format!("{amount} is to be paid for {plan}, and there is no payment method left to charge."),
    };
    let until = told(about.grace_ends_at, zone);
    Letter {
        subject: format!("Please pay for {plan}"),
        paragraphs: vec![
            Paragraph::Text(format!("Hello, {happened}")),
            Paragraph::Text("You can pay here:".to_owned()),
            Paragraph::Link(link.to_owned()),
            Paragraph::Text(format!("{plan} stays yours to use until {until}.")),
            Paragraph::Text("If you have paid meanwhile, there is nothing you need to do.".to_owned()),
        ],
    }
}

fn suspended(about: &Suspended, zone: &Zone, link: &str) -> Letter {
    let (plan, amount) = (&about.plan, about.amount);
    let until = told(about.suspended_until, zone);
    Letter {
        subject: format!("{plan} is suspended"),
        paragraphs: vec![
            Paragraph::Text(format!("Hello, {amount} for {plan} was not paid, and it cannot be used any more.")),
            Paragraph::Text(
                "Once you have paid you have it back, with all the time that was left. You can pay here:".to_owned(),
            ),
            Paragraph::Link(link.to_owned()),
            Paragraph::Text(format!("If you do not pay, it ends on {until}.")),
            Paragraph::Text("If you have paid meanwhile, there is nothing you need to do.".to_owned()),
        ],
    }
}

impl Letter {
    fn text(&self, brand: Option<&Brand>) -> String {
        let plain = |it: &Paragraph| match it {
            Paragraph::Text(text) | Paragraph::Link(text) => format!("{text}\n"),
        };
        let head = brand.map(|brand| format!("{}\n", brand.name));
        head.into_iter().chain(self.paragraphs.iter().map(plain)).collect::<Vec<_>>().join("\n")
    }

    fn html(&self, brand: Option<&Brand>) -> String {
        let marked = |it: &Paragraph| match it {
            Paragraph::Text(text) => format!("<p>{}</p>", escaped(text)),
            // Mail programs give links a colour of their own, which may not be read on the brand's.
            Paragraph::Link(link) if brand.is_some() => {
                format!("<p><a href=\"{0}\" style=\"color:inherit;word-break:break-all\">{0}</a></p>", escaped(link))
            }
            Paragraph::Link(link) => format!("<p><a href=\"{0}\">{0}</a></p>", escaped(link)),
        };
        let style = brand.map_or(String::new(), |brand| {
            format!(" style=\"margin:0;padding:16px;font:16px/1.5 sans-serif;{}\"", ground(brand))
        });
        let head = brand.map_or(String::new(), head);
        let body: String = self.paragraphs.iter().map(marked).collect();
        format!("<!doctype html><html lang=\"en\"><body{style}>{head}{body}</body></html>")
    }

    pub(super) fn content(&self, brand: Option<&Brand>) -> Result<EmailContent, BuildError> {
        let part = |text: String| Content::builder().charset("UTF-8").data(text).build();
        let body = Body::builder().text(part(self.text(brand))?).html(part(self.html(brand))?).build();
        let message = Message::builder().subject(part(self.subject.clone())?).body(body).build();
        Ok(EmailContent::builder().simple(message).build())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use billing::catalog::Unit;
    use billing::id::{PeriodId, SubscriptionId};
    use billing::money::{Currency, Money};
    use billing::testing::{brand, customer, instant, meter, zone};

    const LINK: &str = "https://api.example.com/pay/mail_a.1772928000.mac";

    pub(in super::super) fn about(plan: &str, remedy: Option<Remedy>) -> About {
        let naira = Currency::from_code("NGN").unwrap_or_else(|| panic!("NGN"));
        About::PaymentNeeded(PaymentNeeded {
            subscription: SubscriptionId::nth(&customer(), 1),
            period: 1,
            plan: plan.to_owned(),
            amount: Money::new(700_000, naira),
            remedy,
            grace_ends_at: instant("2026-03-08T09:05:00Z"),
        })
    }

    #[test]
    fn a_letter_says_what_happened_how_much_until_when_and_where() {
        let declined = "Hello, the payment of NGN 7000.00 for Professional was declined.";
        let cases = [
            (
                Some(Remedy::AskCustomer),
                "Hello, your bank wants you to confirm the payment of NGN 7000.00 for Professional.",
            ),
            (Some(Remedy::NewMethod), declined),
            (Some(Remedy::FewTries), declined),
            (Some(Remedy::RetryLater), declined),
            (None, "Hello, NGN 7000.00 is to be paid for Professional, and there is no payment method left to charge."),
        ];
        for (remedy, first) in cases {
            let letter = letter(&about("Professional", remedy), &Zone::UTC, LINK);
            assert_eq!(letter.subject, "Please pay for Professional");
            let text = letter.text(None);
            let rest = format!(
                "\n\nYou can pay here:\n\n{LINK}\n\nProfessional stays yours to use until 8 March 2026, 09:05 UTC.\n\n\
                 If you have paid meanwhile, there is nothing you need to do.\n"
            );
            assert_eq!(text, format!("{first}{rest}"));
            let html = letter.html(None);
            assert!(html.contains(&format!("<p>{first}</p>")), "{html}");
            assert!(html.contains(&format!("<a href=\"{LINK}\">{LINK}</a>")), "{html}");
        }
    }

    #[test]
    fn a_letter_says_that_it_is_suspended_and_how_to_have_it_back() {
        let naira = Currency::from_code("NGN").unwrap_or_else(|| panic!("NGN"));
        let about = About::Suspended(Suspended {
            subscription: SubscriptionId::nth(&customer(), 1),
            period: 1,
            plan: "Professional".to_owned(),
            amount: Money::new(700_000, naira),
            suspended_until: instant("2026-04-07T09:05:00Z"),
        });
        let letter = letter(&about, &zone("Africa/Lagos"), LINK);
        assert_eq!(letter.subject, "Professional is suspended");
        let expected = format!(
            "Hello, NGN 7000.00 for Professional was not paid, and it cannot be used any more.\n\n\
             Once you have paid you have it back, with all the time that was left. You can pay here:\n\n{LINK}\n\n\
             If you do not pay, it ends on 7 April 2026, 10:05 Africa/Lagos.\n\n\
             If you have paid meanwhile, there is nothing you need to do.\n"
        );
        assert_eq!(letter.text(None), expected);
    }

    #[test]
    fn a_letter_says_what_a_plan_will_cost_and_from_when() {
        let naira = Currency::from_code("NGN").unwrap_or_else(|| panic!("NGN"));
        let about = About::PriceChange(PriceNotice {
            subscription: SubscriptionId::nth(&customer(), 1),
            plan: "Professional".to_owned(),
            plan_version: 2,
            until_then: Money::new(700_000, naira),
            amount: Money::new(900_000, naira),
            is_discounted: false,
            changes_at: instant("2026-03-08T09:05:00Z"),
            told_by: instant("2026-02-01T00:00:00Z"),
        });
        let letter = letter(&about, &zone("Africa/Lagos"), LINK);
        assert_eq!(letter.subject, "The price of Professional changes");
        let expected = "What you have costs NGN 7000.00 a period until then, and NGN 9000.00 a period from the one that \
                        begins on 8 March 2026, 10:05 Africa/Lagos.";
        assert!(letter.text(None).contains(expected), "{}", letter.text(None));
        assert!(!letter.text(None).contains(LINK), "it asks for nothing");
        let About::PriceChange(about) = about else { panic!("a price") };
        let same = About::PriceChange(PriceNotice { until_then: about.amount, is_discounted: true, ..about });
        let letter = super::letter(&same, &Zone::UTC, LINK);
        assert_eq!(letter.subject, "Professional changes");
        for expected in ["its newest version, which costs NGN 9000.00 too.", "your discount comes off that."] {
            assert!(letter.text(None).contains(expected), "{}", letter.text(None));
        }
    }

    #[test]
    fn a_letter_says_what_more_of_a_meter_costs_and_until_when() {
        let passed = |name: &str, included: u64, price: &str| Passed {
            meter: meter(&name.to_lowercase()),
            name: name.to_owned(),
            unit: Unit { one: "call".to_owned(), many: "calls".to_owned() },
            included,
            price: serde_json::from_str(price).unwrap_or_else(|error| panic!("{error}")),
        };
        let tiers = r#"{"per": 1, "tiers": [{"up_to": 50, "amount": {"minor": 20, "currency": "USD"}},
            {"up_to": 550, "amount": {"minor": 15, "currency": "USD"}, "flat": {"minor": 300, "currency": "USD"}}]}"#;
        let endless = r#"{"per": 1000, "tiers": [{"up_to": null, "amount": {"minor": 29, "currency": "USD"}}]}"#;
        let subscription = SubscriptionId::nth(&customer(), 1);
        let about = About::Overage(OverageNotice {
            subscription: subscription.clone(),
            plan: "Basic".to_owned(),
            period: PeriodId { subscription, index: 3 },
            period_ends_at: instant("2026-03-08T09:05:00Z"),
            meters: vec![passed("Calls", 100, tiers), passed("Sales", 0, endless)],
        });
        let letter = letter(&about, &zone("Africa/Lagos"), LINK);
        assert_eq!(letter.subject, "You have used more than Basic includes");
        let expected = [
            "Hello, you have used more than Basic includes in a period.",
            "Calls: 100 are included. More costs USD 0.20 a call up to 50 more, then USD 0.15 a call and USD 3.00 once up \
             to 550 more. Beyond that there is no more.",
            "Sales: 0 are included. More costs USD 0.29 for 1000 calls.",
            "What is used beyond that comes with your next invoice.",
            "This period ends on 8 March 2026, 10:05 Africa/Lagos. Then what your plan includes is there again.",
            "There is nothing you need to do.",
        ];
        assert_eq!(letter.text(None), format!("{}\n", expected.join("\n\n")));
    }

    #[test]
    fn a_letter_tells_the_time_on_its_readers_clock() {
        let until = |name| letter(&about("Professional", None), &zone(name), LINK).text(None);
        assert!(until("Africa/Lagos").contains("until 8 March 2026, 10:05 Africa/Lagos."));
        // An hour later than the day before: the clocks are put forward that night.
        assert!(until("America/New_York").contains("until 8 March 2026, 05:05 America/New_York."));
        assert!(until("Pacific/Kiritimati").contains("until 8 March 2026, 23:05 Pacific/Kiritimati."));
    }

    #[test]
    fn a_letter_of_a_brand_says_the_same_under_its_name_and_in_its_colours() {
        let (acme, plain) = (brand("acme"), letter(&about("Professional", None), &Zone::UTC, LINK));
        assert_eq!(plain.text(Some(&acme)), format!("Acme Telecom\n\n{}", plain.text(None)));
        let html = plain.html(Some(&acme));
        for expected in [
            "<body style=\"margin:0;padding:16px;font:16px/1.5 sans-serif;background:#fafafa;color:#000000\">",
            "<img src=\"https://cdn.acme.example/logo.png\"",
            "<p style=\"background:#ffcc00;color:#000000;padding:12px 16px;font-weight:bold\">Acme Telecom</p><p>Hello, ",
            &format!("<a href=\"{LINK}\" style=\"color:inherit;word-break:break-all\">{LINK}</a>"),
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        let bare = letter(&about("Professional", None), &Zone::UTC, LINK).html(None);
        assert!(!bare.contains("style") && !bare.contains("Acme"), "{bare}");
    }

    #[test]
    fn nothing_in_a_letter_is_markup_but_our_own() {
        let plan = r#"<img src="x" onerror='y'> & Sons"#;
        let html = letter(&about(plan, None), &Zone::UTC, r#"https://api.example.com/"><script>"#).html(None);
        for bad in ["<img", "<script", "'y'", "& Sons", "\"x\""] {
            assert!(!html.contains(bad), "{bad}: {html}");
        }
        assert!(html.contains("&lt;img src=&quot;x&quot; onerror=&#39;y&#39;&gt; &amp; Sons"), "{html}");
    }
}
