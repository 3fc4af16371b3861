use std::time::UNIX_EPOCH;

use super::*;
use crate::model::address::Network;

const S: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn banned(text: &str) -> Banned {
    text.parse().map_or_else(|_| Banned::Name(name(text)), Banned::Network)
}

fn now() -> SystemTime {
    UNIX_EPOCH + 1_000_000 * S
}

fn sanction(until: Option<SystemTime>) -> Sanction {
    Sanction::new("Olga", Some("noise"), now(), until)
}

fn register(state: &mut State, text: &str) -> Result<Account, ChangeError> {
    let account = state.registration(name(text), format!("hash of {text}"), now())?;
    state.apply(Change::Keep(account.clone()));
    Ok(account)
}

fn impose(state: &mut State, kind: Kind, text: &str, until: Option<SystemTime>) {
    for change in state.imposition(kind, banned(text), sanction(until)).unwrap() {
        state.apply(change);
    }
}

fn lift(state: &mut State, kind: Kind, text: &str, now: SystemTime) -> bool {
    let (changes, was_there) = state.lifting(kind, &banned(text), now);
    changes.into_iter().for_each(|change| state.apply(change));
    was_there
}

fn listed(state: &State, kind: Kind, now: SystemTime) -> Vec<String> {
    state.sanctioned(kind, now).into_iter().map(|(banned, _)| banned.to_string()).collect()
}

#[test]
fn an_account_is_found_by_its_name_however_it_is_written() {
    let mut state = State::default();
    let bob = register(&mut state, "Bob").unwrap();
    for written in ["Bob", "BOB", "B0b", "ＢＯＢ"] {
        assert_eq!(state.account(&name(written)), Some(&bob));
        let refused = register(&mut state, written);
        assert!(matches!(refused, Err(ChangeError::AlreadyRegistered(owner)) if owner.as_str() == "Bob"));
    }
    assert_eq!(state.account(&name("Bo")), None);
}

/// As a former version made them, which took these for three names.
fn with_accounts_of_the_same_name() -> (State, [Account; 3]) {
    let mut state = State::default();
    let account = |id, text| Account {
        id: AccountId(id),
        name: name(text),
        hash: String::new(),
        is_operator: false,
        registered: now(),
        used: now(),
    };
    let accounts = [account(1, "alice"), account(2, "aiice"), account(3, "AIice")];
    accounts.iter().for_each(|account| state.apply(Change::Keep(account.clone())));
    (state, accounts)
}

fn ids(accounts: Vec<(Account, Name)>) -> Vec<u64> {
    accounts.into_iter().map(|(account, _)| account.id.0).collect()
}

#[test]
fn of_accounts_with_the_same_name_the_older_one_has_it_and_the_others_are_set_aside() {
    let (mut state, [alice, ..]) = with_accounts_of_the_same_name();
    assert_eq!(state.account(&name("aiice")), Some(&alice));
    assert_eq!((state.accounts(), ids(state.set_aside())), (vec![alice.clone()], vec![2, 3]));
    assert!(state.set_aside().iter().all(|(_, holder)| holder.as_str() == "alice"));
    let changed = Account { hash: "another".to_owned(), ..alice };
    state.apply(Change::Keep(changed.clone()));
    assert_eq!((state.accounts(), ids(state.set_aside())), (vec![changed], vec![2, 3]));
}

#[test]
fn when_an_account_is_gone_the_next_one_of_its_name_can_be_used() {
    let (mut state, [alice, second, third]) = with_accounts_of_the_same_name();
    state.apply(Change::Forget(alice.id));
    assert_eq!((state.accounts(), ids(state.set_aside())), (vec![second.clone()], vec![3]));
    state.apply(Change::Forget(third.id));
    state.apply(Change::Forget(second.id));
    assert_eq!((state.accounts(), state.account(&name("alice"))), (vec![], None));
}

#[test]
fn an_account_that_is_set_aside_is_found_as_it_is_written() {
    let (state, [alice, second, third]) = with_accounts_of_the_same_name();
    for (written, account) in [("alice", &alice), ("ALICE", &alice), ("aiice", &second), ("a1ice", &alice)] {
        assert_eq!(state.account_written(&name(written)).map(|account| account.id), Some(account.id), "{written}");
    }
    assert_eq!(third.name.folded(), second.name.folded());
}

#[test]
fn the_number_of_a_lost_account_is_not_given_again() {
    let mut state = State::default();
    let first = register(&mut state, "Bob").unwrap();
    state.apply(Change::Forget(first.id));
    assert_eq!(state.account(&name("B0b")), None);
    let second = register(&mut state, "B0b").unwrap();
    assert!(second.id > first.id);
    assert_eq!(state.account_of(first.id), None);
}

#[test]
fn accounts_are_full_at_their_limit() {
    let mut state = State::default();
    for id in 0..ACCOUNTS as u64 {
        // Letters instead of digits, which can look like one another.
        let letters: String =
            id.to_string().bytes().map(|digit| char::from(b"abefghjkpq"[usize::from(digit - b'0')])).collect();
        let account = Account {
            id: AccountId(id),
            name: name(&format!("x{letters}")),
            hash: String::new(),
            is_operator: false,
            registered: now(),
            used: now(),
        };
        state.apply(Change::Keep(account));
    }
    assert_eq!(state.accounts().len(), ACCOUNTS);
    assert_eq!(register(&mut state, "Zoe"), Err(ChangeError::Full));
    state.apply(Change::Forget(AccountId(7)));
    assert!(register(&mut state, "Zoe").is_ok());
}

#[test]
fn accounts_are_listed_by_their_names() {
    let mut state = State::default();
    for text in ["Zoe", "anna", "Bert"] {
        register(&mut state, text).unwrap();
    }
    let names: Vec<_> = state.accounts().into_iter().map(|account| account.name.to_string()).collect();
    assert_eq!(names, ["anna", "Bert", "Zoe"]);
}

#[test]
fn a_ban_holds_for_look_alikes_until_its_time_is_over() {
    let mut state = State::default();
    impose(&mut state, Kind::Ban, "Bob", Some(now() + 60 * S));
    for text in ["Bob", "BOB", "B0b"] {
        assert_eq!(state.sanction(Kind::Ban, &banned(text), now() + 59 * S), Some(&sanction(Some(now() + 60 * S))));
        assert_eq!(state.sanction(Kind::Ban, &banned(text), now() + 60 * S), None);
    }
    assert_eq!(state.sanction(Kind::Ban, &banned("Rob"), now()), None);
    assert_eq!(state.sanction(Kind::Mute, &banned("Bob"), now()), None);
}

#[test]
fn a_ban_on_a_network_holds_for_all_of_it() {
    let mut state = State::default();
    impose(&mut state, Kind::Ban, "2001:db8::1", None);
    assert!(state.sanction(Kind::Ban, &banned("2001:db8::2"), now()).is_some());
    assert_eq!(state.sanction(Kind::Ban, &banned("2001:db8:0:1::1"), now()), None);
}

#[test]
fn one_ban_takes_the_place_of_another_on_a_look_alike_and_is_lifted_by_any_of_them() {
    let mut state = State::default();
    impose(&mut state, Kind::Ban, "Bob", None);
    impose(&mut state, Kind::Ban, "B0b", Some(now() + S));
    assert_eq!(listed(&state, Kind::Ban, now()), ["B0b"]);
    assert!(lift(&mut state, Kind::Ban, "bob", now()));
    assert!(!lift(&mut state, Kind::Ban, "bob", now()));
    assert_eq!(state, State::default());
}

#[test]
fn bans_are_listed_in_order_and_those_that_are_over_are_not() {
    let mut state = State::default();
    for (text, until) in [("192.0.2.1", None), ("Zoe", None), ("anna", Some(now() + S)), ("10.0.0.1", None)] {
        impose(&mut state, Kind::Ban, text, until);
    }
    assert_eq!(listed(&state, Kind::Ban, now()), ["anna", "Zoe", "10.0.0.1", "192.0.2.1"]);
    assert_eq!(listed(&state, Kind::Ban, now() + S), ["Zoe", "10.0.0.1", "192.0.2.1"]);
}

#[test]
fn expired_sanctions_are_removed_with_the_next_change() {
    let mut state = State::default();
    impose(&mut state, Kind::Ban, "anna", Some(now() + S));
    impose(&mut state, Kind::Mute, "Zoe", Some(now() + S));
    assert_eq!(state.sweep(now()), []);
    assert!(!lift(&mut state, Kind::Ban, "anna", now() + S));
    assert_eq!(state, State::default());
}

#[test]
fn bans_are_full_at_their_limit_and_those_that_are_over_make_room() {
    let mut state = State::default();
    for number in 0..SANCTIONS as u32 {
        let until = (number == 0).then_some(now() + S);
        let banned = Banned::Network(Network::V4(number.to_be_bytes()));
        state.apply(Change::Impose(Kind::Ban, banned, sanction(until)));
    }
    assert_eq!(state.imposition(Kind::Ban, banned("Bob"), sanction(None)), Err(ChangeError::Full));
    assert!(state.imposition(Kind::Ban, banned("0.0.0.1"), sanction(None)).is_ok(), "it takes the place of its own");
    assert!(state.imposition(Kind::Mute, banned("Bob"), sanction(None)).is_ok());
    let later = Sanction::new("Olga", None, now() + S, None);
    assert!(state.imposition(Kind::Ban, banned("Bob"), later).is_ok());
}

#[test]
fn a_reason_is_safe_and_bounded() {
    let sanction = Sanction::new("Olga", Some(&format!("\x1b{}", "x".repeat(5000))), now(), None);
    assert_eq!(sanction.reason().unwrap().as_str(), format!("^[{}…", "x".repeat(REASON_CHARS - 1)));
}

#[test]
fn a_hash_is_not_shown() {
    let shown = format!("{:?}", register(&mut State::default(), "Bob").unwrap());
    assert!(shown.contains("Bob") && !shown.contains("hash"), "{shown}");
}
