//! Stories of whose name a customer is written to under: who is given a brand, keeps it, and gets their mails in any case.

use crate::changes::{half_way, try_change, upgrade};
use crate::interventions::try_to;
use crate::mails::{declined_for_good, only};
use crate::stage::{Is, PLAN, command, is, live, opened_as, subscribed, told};
use billing::brand::Brand;
use billing::mail::MailStatus;
use billing::ports::{Key, Record};
use billing::subscription::{Command, Event, Intervention, Refusal, Subscription};
use billing::testing::{MemoryMailer, World, brand, customer, request, world};
use billing::workflow::{RequestError, SendError};
use futures::executor::block_on;

pub(crate) fn kept(world: &World, brand: &Brand) -> Brand {
    block_on(world.keep_brand(brand)).unwrap_or_else(|error| panic!("{error}"));
    world.key(Key::Brand(brand.id.clone())).brand().unwrap_or_else(|| panic!("it is kept"))
}

pub(crate) fn to(id: &str) -> Intervention {
    Intervention::Brand { brand: Some(brand(id).id) }
}

const OFF: Intervention = Intervention::Brand { brand: None };

fn given(world: &World, intervention: &Intervention, key: &str) -> Subscription {
    try_to(world, intervention, key).unwrap_or_else(|error| panic!("{error}"))
}

/// Under which names mails came, by now.
fn names(world: &World) -> Vec<Option<String>> {
    let inbox = MemoryMailer::default();
    world.run_mailing(&inbox);
    inbox.take_branded().into_iter().map(|(_, brand)| brand.map(|it| it.name.to_string())).collect()
}

/// Their card was declined, and the one mail about that is due, under the name of `acme`.
pub(crate) fn owing_under_acme() -> World {
    let world = declined_for_good();
    kept(&world, &brand("acme"));
    given(&world, &to("acme"), "k");
    world
}

#[test]
fn a_brand_is_kept_as_it_was_given_last_and_the_same_again_changes_nothing() {
    let world = world();
    let first = kept(&world, &brand("acme"));
    assert_eq!(first, Brand { version: 1, ..brand("acme") });
    assert_eq!(kept(&world, &brand("acme")), first);
    let plain = Brand { logo: None, ..brand("acme") };
    assert_eq!(kept(&world, &plain), Brand { version: 2, ..plain });
    // Somebody else is faster: the last one holds, whole.
    world.store.meanwhile(Record::Brand(Brand { logo: None, version: 3, ..brand("acme") }));
    assert_eq!(kept(&world, &brand("acme")), Brand { version: 4, ..brand("acme") });
    kept(&world, &brand("3-mobile"));
    let all = block_on(world.brands()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(all.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["3-mobile", "acme"]);
}

#[test]
fn a_mail_comes_under_the_name_that_its_reader_s_brand_has_by_then() {
    let world = owing_under_acme();
    let name = "Acme Mobile".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
    kept(&world, &Brand { name, ..brand("acme") });
    assert_eq!(names(&world), [Some("Acme Mobile".to_owned())]);
    let page = |world: &World| block_on(world.brand_of_mail(&only(world).id)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(page(&world).map(|it| it.name.to_string()), Some("Acme Mobile".to_owned()));

    let world = owing_under_acme();
    given(&world, &OFF, "off");
    assert_eq!((names(&world), page(&world)), (vec![None], None));
    assert_eq!(names(&declined_for_good()), [None], "nobody gave them one");
}

/// A brand is never taken away: whoever restores a table from parts may have lost it.
#[test]
fn whose_brand_is_lost_gets_their_mail_under_no_name_and_somebody_hears_of_it() {
    let (world, inbox) = (declined_for_good(), MemoryMailer::default());
    let brand = Some(brand("acme").id);
    world.store.put(Record::Subscription(Subscription { brand: brand.clone(), ..world.subscription() }));
    let mail = only(&world).id;
    let sent = block_on(world.send_mail(&mail, &inbox));
    assert!(matches!(sent, Err(SendError::NoSuchBrand(id, lost)) if id == mail && Some(&lost) == brand.as_ref()));
    assert!(matches!(inbox.take_branded()[..], [(_, None)]));
    assert!(matches!(only(&world).status, MailStatus::Sent { .. }));
    block_on(world.send_mail(&mail, &inbox)).unwrap_or_else(|error| panic!("{error}"));
    assert!(inbox.take().is_empty(), "once");
}

#[test]
fn a_brand_is_given_once_and_the_history_says_so() {
    let world = subscribed();
    kept(&world, &brand("acme"));
    let before = world.subscription();
    for _ in 0..2 {
        let branded = given(&world, &to("acme"), "k");
        assert_eq!((branded.brand, branded.version), (Some(brand("acme").id), before.version + 1));
    }
    let key = Key::History(customer(), before.id.clone(), before.version + 1, 0);
    let event = Event::Branded { brand: Some(brand("acme").id) };
    assert!(
        matches!(world.key(key).records(), [Record::History { event: written, .. }] if *written == event),
        "{event:?}"
    );
    assert_eq!(given(&world, &to("acme"), "again").version, before.version + 1, "they have it");
    assert_eq!(given(&world, &OFF, "off").brand, None);
}

#[test]
fn a_brand_that_nobody_keeps_is_given_to_nobody() {
    let world = subscribed();
    kept(&world, &brand("acme"));
    let before = world.store.records();
    let refused = try_to(&world, &to("acne"), "k");
    assert!(matches!(refused, Err(RequestError::Refused(Refusal::NoSuchBrand))), "{refused:?}");
    assert_eq!(world.store.records(), before);
    assert!(matches!(try_to(&billing::testing::world(), &to("acme"), "k"), Err(RequestError::NoSubscription)));
}

#[test]
fn who_changes_their_plan_or_leaves_and_comes_back_keeps_their_brand() {
    let acme = Some(brand("acme").id);
    let world = half_way();
    kept(&world, &brand("acme"));
    given(&world, &to("acme"), "k");
    try_change(&world, &upgrade(), "up").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.subscription().brand, acme);
    live(&world, crate::stage::DAY * 20);
    assert_eq!((world.subscription().brand, is(&world.subscription())), (acme.clone(), Is::Active));

    command(&world, Command::CancelNow);
    let first = world.subscription();
    let payment = opened_as(&world, request(PLAN, "back"));
    assert_eq!(world.subscription().brand, acme, "as soon as they order");
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_back");
    let second = world.subscription();
    assert_ne!(second.id, first.id);
    assert_eq!((second.brand.clone(), is(&second)), (acme, Is::Active));
}
