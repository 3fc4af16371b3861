use proptest::prelude::*;

use super::Offence::{NoLogin, NoPassword, Registration, WrongPassword};
use super::*;
use crate::model::Name;
use crate::model::address::Network;

const S: Duration = Duration::from_secs(1);

fn source(number: u32) -> LimitKeys {
    LimitKeys::of(Network::V4(number.to_be_bytes()))
}

/// How long passwords with these keys are refused.
fn wait(penalties: &Penalties, keys: &LimitKeys, now: Instant) -> Option<Duration> {
    penalties.is_refused(keys, now).map(|(wait, _)| wait)
}

/// How many wrong passwords are accepted before one is refused. Each is from the next of these networks.
fn tries(penalties: &mut Penalties, keys: impl Iterator<Item = LimitKeys>, now: Instant) -> usize {
    let try_one = |keys| {
        let may_try = penalties.is_refused(&keys, now).is_none();
        penalties.charge(&keys, WrongPassword, now);
        may_try
    };
    keys.map(try_one).take_while(|&may_try| may_try).count()
}

#[test]
fn a_48_has_eleven_times_the_tries_of_a_64_however_many_64s_it_has() {
    let v6 = |number: u16| {
        let [high, low] = number.to_be_bytes();
        LimitKeys::of(Network::V6([0x20, 1, 0xd, 0xb8, 0, 1, high, low]))
    };
    let now = Instant::now();
    assert_eq!(tries(&mut Penalties::default(), std::iter::repeat_with(|| v6(0)), now), 3);
    assert_eq!(tries(&mut Penalties::default(), (0..256).map(v6), now), 9);
    assert_eq!(tries(&mut Penalties::default(), (0..256).map(|number| v6(number << 8)), now), 33);
    let mut penalties = Penalties::default();
    tries(&mut penalties, (0..256).map(|number| v6(number << 8)), now);
    assert!(wait(&penalties, &v6(0xffff), now).is_some_and(|wait| wait < 45 * S), "all of the /48 waits");
    assert_eq!(wait(&penalties, &LimitKeys::of(Network::V6([0x20, 1, 0xd, 0xb8, 0, 2, 0, 0])), now), None);
}

#[test]
fn local_guesses_at_one_name_do_not_block_other_names() {
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    let [bob, eve] = ["Bob", "Eve"].map(|name| LimitKeys::with_name(Network::Loopback, &Name::parse(name).unwrap()));
    assert_eq!(tries(&mut penalties, std::iter::repeat(bob.clone()), now), 3);
    assert!(wait(&penalties, &bob, now).is_some());
    assert_eq!(wait(&penalties, &eve, now), None);
}

#[test]
fn three_wrong_passwords_are_penalized_until_the_penalty_has_run_off() {
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    for _ in 0..2 {
        penalties.charge(&source(1), WrongPassword, start);
        assert_eq!(wait(&penalties, &source(1), start), None);
    }
    penalties.charge(&source(1), WrongPassword, start);
    assert_eq!(wait(&penalties, &source(1), start), Some(60 * S));
    assert_eq!(wait(&penalties, &source(1), start + 59 * S), Some(S));
    assert_eq!(wait(&penalties, &source(1), start + 60 * S), None);
    assert_eq!(wait(&penalties, &source(2), start), None);
}

#[test]
fn expired_penalties_no_longer_count() {
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    for typo in 0..20 {
        penalties.charge(&source(1), WrongPassword, start + typo * 20 * S);
        assert_eq!(wait(&penalties, &source(1), start + typo * 20 * S), None);
    }
    let later = start + 1000 * S;
    for _ in 0..3 {
        penalties.charge(&source(1), WrongPassword, later);
    }
    assert_eq!(wait(&penalties, &source(1), later + 60 * S), None);
    penalties.charge(&source(1), WrongPassword, later + 60 * S);
    assert_eq!(wait(&penalties, &source(1), later + 60 * S), None, "the former refusal is over");
}

#[test]
fn no_source_waits_longer_than_the_cap() {
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    for _ in 0..1000 {
        penalties.charge(&source(1), WrongPassword, start);
    }
    assert_eq!(wait(&penalties, &source(1), start), Some(PENALTIES_MOST));
    assert_eq!(wait(&penalties, &source(1), start + PENALTIES_MOST), None);
}

#[test]
fn a_refund_lifts_only_the_refusal_of_its_own_charge() {
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    for _ in 0..3 {
        penalties.charge(&source(1), WrongPassword, start);
    }
    penalties.refund(&source(1), WrongPassword, start + 30 * S);
    assert_eq!(wait(&penalties, &source(1), start + 30 * S), None);

    for _ in 0..3 {
        penalties.charge(&source(2), WrongPassword, start);
    }
    penalties.charge(&source(2), Registration, start + 50 * S);
    penalties.refund(&source(2), Registration, start + 50 * S);
    assert_eq!(wait(&penalties, &source(2), start + 50 * S), Some(10 * S));
}

#[test]
fn a_refund_without_a_penalty_has_no_effect() {
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    penalties.refund(&source(1), WrongPassword, start);
    penalties.charge(&source(1), WrongPassword, start);
    penalties.refund(&source(1), WrongPassword, start + 20 * S);
    penalties.charge(&source(1), WrongPassword, start + 20 * S);
    penalties.charge(&source(1), WrongPassword, start + 20 * S);
    penalties.charge(&source(1), NoPassword, start + 20 * S);
    assert_eq!(wait(&penalties, &source(1), start + 20 * S), Some(41 * S));
}

#[test]
fn a_flood_of_sources_keeps_the_heaviest_penalty_and_the_bound() {
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    let heaviest = source(u32::MAX);
    for _ in 0..4 {
        penalties.charge(&heaviest, WrongPassword, start);
    }
    for number in 0..2 * PENALIZED_SOURCES as u32 {
        penalties.charge(&source(number), WrongPassword, start);
        assert!(penalties.of.len() <= PENALIZED_SOURCES);
    }
    assert_eq!(penalties.of.len(), PENALIZED_SOURCES);
    assert_eq!(wait(&penalties, &heaviest, start), Some(80 * S));
}

#[test]
fn each_charge_removes_some_expired_penalties() {
    let (mut penalties, start) = (Penalties::with_room(100), Instant::now());
    for number in 0..100 {
        penalties.charge(&source(number), NoLogin, start);
    }
    for number in 0..50 {
        penalties.charge(&source(1000 + number), NoLogin, start + 20 * S);
    }
    assert_eq!(penalties.of.len(), 50);
    assert_eq!(penalties.by_end.len(), 50);
}

fn offence() -> impl Strategy<Value = Offence> {
    prop_oneof![Just(WrongPassword), Just(NoLogin), Just(NoPassword), Just(Registration)]
}

proptest! {
    #[test]
    fn both_tables_always_agree_and_stay_bounded(
        acts in prop::collection::vec((0..20u32, offence(), any::<bool>(), 0..30u32), 1..300)
    ) {
        let (mut penalties, mut now) = (Penalties::with_room(8), Instant::now());
        for (number, offence, is_refund, seconds) in acts {
            now += seconds * S;
            if is_refund {
                penalties.refund(&source(number), offence, now);
            } else {
                penalties.charge(&source(number), offence, now);
            }
            prop_assert!(penalties.of.len() <= 8);
            let ends = penalties.of.iter().map(|(&network, penalty)| (penalty.until, network));
            prop_assert_eq!(&ends.collect::<BTreeSet<_>>(), &penalties.by_end);
            let wait = wait(&penalties, &source(number), now);
            prop_assert!(wait.is_none_or(|wait| wait <= PENALTIES_MOST));
        }
    }

    #[test]
    fn a_refund_undoes_its_charge_exactly_below_the_cap(
        before in prop::collection::vec((offence(), 0..20u32), 0..8),
        offence in offence(),
        elapsed in 0..60u32,
    ) {
        let (mut penalties, mut now) = (Penalties::default(), Instant::now());
        for (offence, seconds) in before {
            now += seconds * S;
            penalties.charge(&source(1), offence, now);
        }
        let left = |penalties: &Penalties, now: Instant| {
            let penalty = penalties.of.get(&source(1).widest()).filter(|penalty| penalty.until > now);
            (penalty.map(|penalty| penalty.until - now), wait(penalties, &source(1), now))
        };
        // The penalty without the charge, at a time when neither has run off.
        let owed = left(&penalties, now).0.unwrap_or_default();
        let then = now + (elapsed * S).min(owed);
        let expected = left(&penalties, then);
        penalties.charge(&source(1), offence, now);
        penalties.refund(&source(1), offence, then);
        prop_assert_eq!(left(&penalties, then), expected);
    }
}
