//! Journeys: what a customer lives through, told through the workflows over
//! in-memory ports; and each workflow cut short at each of its steps.

mod afterwards;
mod answers;
mod at_once;
mod catalogues;
mod changes;
mod collecting;
mod coupons;
mod crashes;
mod credit;
mod downgrades;
mod imports;
mod interventions;
mod late;
mod living;
mod mails;
mod markets;
mod methods;
mod notices;
mod outlooks;
mod overage;
mod prices;
mod rebuilding;
mod reserving;
mod shards;
mod stage;
mod statistics;
mod stories;
mod suspension;
mod taken_over;
mod tokens;
mod transfers;
mod unheard;
mod usage;
mod walks;
mod zones;
