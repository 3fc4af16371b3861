//! All accounts, bans and mutes, in memory.
//!
//! Plain data: no file, no task and no clock. A change is first written down as [`Change`]s, which the
//! [store](crate::accounts::store) keeps; only then is it applied here. So the memory never says what the file does not.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::accounts::ChangeError;
use crate::limits::{ACCOUNTS, IMPOSER_CHARS, LOGINS_NOTED, REASON_CHARS, SANCTIONS};
use crate::model::{AccountId, Name, SafeText};
use crate::protocol::Banned;

/// A registered name.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// What the account is known by, whatever becomes of its name.
    pub id: AccountId,
    /// The name, as it was registered.
    pub name: Name,
    /// The hash of its password, as a PHC string.
    pub hash: String,
    /// Whether it may ban and mute.
    pub is_operator: bool,
    /// Since when it is there.
    pub registered: SystemTime,
    /// When somebody last logged in with it, up to [a day](crate::limits::LOGINS_NOTED) too early; or, if nobody has since
    /// logins are noted, when that began or it was registered.
    pub used: SystemTime,
}

/// A hash is nobody's business, least of all a log's.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, is_operator, registered, used, hash: _ } = self;
        f.debug_struct("Account")
            .field("id", id)
            .field("name", name)
            .field("is_operator", is_operator)
            .field("registered", registered)
            .field("used", used)
            .finish_non_exhaustive()
    }
}

/// What was imposed on somebody: a ban or a mute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sanction {
    by: SafeText,
    reason: Option<SafeText>,
    since: SystemTime,
    until: Option<SystemTime>,
}

impl Sanction {
    /// Imposed by `by`, at `since`, for ever or until a given time. Of the reason, [`REASON_CHARS`] characters are kept.
    pub fn new(by: &str, reason: Option<&str>, since: SystemTime, until: Option<SystemTime>) -> Self {
        let reason = reason.map(|reason| SafeText::excerpt(reason, REASON_CHARS));
        Self { by: SafeText::excerpt(by, IMPOSER_CHARS), reason, since, until }
    }

    /// Who imposed it.
    pub fn by(&self) -> &SafeText {
        &self.by
    }

    /// Why, if a reason was given.
    pub fn reason(&self) -> Option<&SafeText> {
        self.reason.as_ref()
    }

    /// Since when.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Until when; without it, until it is lifted.
    pub fn until(&self) -> Option<SystemTime> {
        self.until
    }

    /// Whether it holds.
    pub fn is_in_force(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// Whether it holds longer than another one.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (mine, Some(its)) => mine.is_none_or(|mine| mine > its),
            (_, None) => false,
        }
    }
}

/// The two kinds of sanctions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ban,
    Mute,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// An account is new, or is no longer what it was.
    Keep(Account),
    /// An account is gone.
    Forget(AccountId),
    /// Logins are noted from now on.
    NoteLogins(SystemTime),
    /// Somebody is banned or muted.
    Impose(Kind, Banned, Sanction),
    /// Somebody is no longer: the entry is written like this. The same name may have one that is written otherwise.
    Lift(Kind, Banned),
}

/// All sanctions of a kind. Each is also kept with the name as the operator wrote it, which is its key in the file.
type Sanctions = BTreeMap<Banned, (Banned, Sanction)>;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    accounts: BTreeMap<AccountId, Account>,
    names: HashMap<Name, AccountId>,
    /// Accounts whose name an older account has.
    set_aside: BTreeMap<AccountId, Account>,
    /// The number of the next account.
    next: u64,
    bans: Sanctions,
    mutes: Sanctions,
}

impl State {
    pub(crate) fn account(&self, name: &Name) -> Option<&Account> {
        self.accounts.get(self.names.get(name)?)
    }

    pub(crate) fn account_of(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// Whether there is an account of this number, set aside or not.
    pub(crate) fn has(&self, id: AccountId) -> bool {
        self.accounts.contains_key(&id) || self.set_aside.contains_key(&id)
    }

    /// The accounts that are set aside, and the names that keep them from being used.
    pub(crate) fn set_aside(&self) -> Vec<(Account, Name)> {
        let older = |account: &Account| self.account(&account.name).map(|older| older.name.clone());
        self.set_aside.values().filter_map(|account| Some((account.clone(), older(account)?))).collect()
    }

    /// The account whose name is written like this, set aside or not.
    pub(crate) fn account_written(&self, name: &Name) -> Option<&Account> {
        let set_aside = || self.set_aside.values().find(|account| account.name.folded() == name.folded());
        let account = self.account(name)?;
        if account.name.folded() == name.folded() { Some(account) } else { set_aside().or(Some(account)) }
    }

    /// All accounts, in the order of their names.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<_> = self.accounts.values().cloned().collect();
        accounts.sort_by(|a, b| a.name.folded().cmp(b.name.folded()));
        accounts
    }

    pub(crate) fn sanction(&self, kind: Kind, banned: &Banned, now: SystemTime) -> Option<&Sanction> {
        let (_, sanction) = self.sanctions(kind).get(banned)?;
        sanction.is_in_force(now).then_some(sanction)
    }

    /// All sanctions of a kind that are in force: names first, then sources.
    pub(crate) fn sanctioned(&self, kind: Kind, now: SystemTime) -> Vec<(Banned, Sanction)> {
        self.sanctions(kind).values().filter(|(_, sanction)| sanction.is_in_force(now)).cloned().collect()
    }

    /// The account that a new name would be.
    pub(crate) fn registration(&self, name: Name, hash: String, now: SystemTime) -> Result<Account, ChangeError> {
        if let Some(account) = self.account(&name) {
            return Err(ChangeError::AlreadyRegistered(account.name.clone()));
        }
        if self.accounts.len() + self.set_aside.len() >= ACCOUNTS {
            return Err(ChangeError::Full);
        }
        Ok(Account { id: AccountId(self.next), name, hash, is_operator: false, registered: now, used: now })
    }

    /// What it takes to note a login, if none is noted for this day yet.
    pub(crate) fn login(&self, id: AccountId, now: SystemTime) -> Option<Change> {
        let account = self.account_of(id)?;
        let is_due = now.duration_since(account.used).is_ok_and(|since| since >= LOGINS_NOTED);
        is_due.then(|| Change::Keep(Account { used: now, ..account.clone() }))
    }

    /// The accounts that nobody has logged in with for so long, those that are set aside too.
    pub(crate) fn unused(&self, time: Duration, now: SystemTime) -> Vec<Account> {
        let is_unused = |account: &&Account| now.duration_since(account.used).is_ok_and(|since| since >= time);
        self.accounts.values().chain(self.set_aside.values()).filter(is_unused).cloned().collect()
    }

    /// What it takes to impose a sanction, in place of a former one if there is one.
    pub(crate) fn imposition(
        &self,
        kind: Kind,
        banned: Banned,
        sanction: Sanction,
    ) -> Result<Vec<Change>, ChangeError> {
        let sanctions = self.sanctions(kind);
        let mut changes = self.sweep(sanction.since);
        let expired = changes.iter().filter(|change| matches!(change, Change::Lift(of, _) if *of == kind)).count();
        let former = sanctions.get(&banned);
        if former.is_none() && sanctions.len() - expired >= SANCTIONS {
            return Err(ChangeError::Full);
        }
        // The name may have been written otherwise.
        changes.extend(former.map(|(former, _)| Change::Lift(kind, former.clone())));
        changes.push(Change::Impose(kind, banned, sanction));
        Ok(changes)
    }

    /// What it takes to lift a sanction, and whether it was in force.
    pub(crate) fn lifting(&self, kind: Kind, banned: &Banned, now: SystemTime) -> (Vec<Change>, bool) {
        let mut changes = self.sweep(now);
        let found = self.sanctions(kind).get(banned).filter(|(_, sanction)| sanction.is_in_force(now));
        changes.extend(found.map(|(former, _)| Change::Lift(kind, former.clone())));
        (changes, found.is_some())
    }

    /// What it takes to get rid of all sanctions that are over.
    pub(crate) fn sweep(&self, now: SystemTime) -> Vec<Change> {
        let over = |kind| {
            let over = self.sanctions(kind).values().filter(move |(_, sanction)| !sanction.is_in_force(now));
            over.map(move |(banned, _)| Change::Lift(kind, banned.clone()))
        };
        over(Kind::Ban).chain(over(Kind::Mute)).collect()
    }

    /// Takes in a sanction that is in the file. There may be two for the same name or place, since a former version may have
    /// taken it for two: then the one that ends later holds. What it takes to remove the other from the file.
    pub(crate) fn take_in(&mut self, kind: Kind, banned: Banned, sanction: Sanction) -> Vec<Change> {
        let Some((former, other)) = self.sanctions(kind).get(&banned).cloned() else {
            self.apply(Change::Impose(kind, banned, sanction));
            return Vec::new();
        };
        let (longer, shorter) =
            if sanction.outlasts(&other) { ((banned, sanction), former) } else { ((former, other), banned) };
        // If both are written alike, the one that holds is removed with the other one.
        let changes = vec![Change::Lift(kind, shorter), Change::Impose(kind, longer.0, longer.1)];
        changes.iter().cloned().for_each(|change| self.apply(change));
        changes
    }

    /// Numbers accounts from `next` on, unless one of them is beyond that already.
    pub(crate) fn number_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Keep(account) => {
                self.number_from(account.id.0.saturating_add(1));
                match self.names.get(&account.name) {
                    Some(&older) if older < account.id => drop(self.set_aside.insert(account.id, account)),
                    _ => {
                        self.names.insert(account.name.clone(), account.id);
                        self.accounts.insert(account.id, account);
                    }
                }
            }
            Change::Forget(id) => self.forget(id),
            Change::NoteLogins(_) => {}
            Change::Impose(kind, banned, sanction) => {
                let sanctions = self.sanctions_mut(kind);
                sanctions.remove(&banned);
                sanctions.insert(banned.clone(), (banned, sanction));
            }
            Change::Lift(kind, banned) => {
                let sanctions = self.sanctions_mut(kind);
                if sanctions.get(&banned).is_some_and(|(held, _)| held.is_written_like(&banned)) {
                    sanctions.remove(&banned);
                }
            }
        }
    }

    fn forget(&mut self, id: AccountId) {
        self.set_aside.remove(&id);
        let Some(Account { name, .. }) = self.accounts.remove(&id) else { return };
        self.names.remove(&name);
        let next = self.set_aside.values().find(|account| account.name == name).map(|account| account.id);
        if let Some(account) = next.and_then(|id| self.set_aside.remove(&id)) {
            self.apply(Change::Keep(account));
        }
    }

    fn sanctions(&self, kind: Kind) -> &Sanctions {
        match kind {
            Kind::Ban => &self.bans,
            Kind::Mute => &self.mutes,
        }
    }

    fn sanctions_mut(&mut self, kind: Kind) -> &mut Sanctions {
        match kind {
            Kind::Ban => &mut self.bans,
            Kind::Mute => &mut self.mutes,
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn what_is_over_is_swept_with_the_next_change_and_is_not_lifted() {
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
        assert!(
            state.imposition(Kind::Ban, banned("0.0.0.1"), sanction(None)).is_ok(),
            "it takes the place of its own"
        );
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
}
