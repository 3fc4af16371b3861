//! The book: all accounts, bans and mutes, in memory.
//!
//! It is plain data: it knows no file, no task and no clock. What is to change it is first written down as [`Change`]s,
//! which the [store](super::store) keeps; only then are they applied here. So the book never says what the file does not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::SystemTime;

use super::ActError;
use crate::limits::{ACCOUNTS, NAME_CHARS, REASON_CHARS, SANCTIONS};
use crate::origin::Source;
use crate::protocol::{Banned, Name, SafeText};

/// The number of an account. It is never given to another one, also after the account is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u64);

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
}

/// A hash is nobody's business, least of all a log's.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, is_operator, registered, hash: _ } = self;
        f.debug_struct("Account")
            .field("id", id)
            .field("name", name)
            .field("is_operator", is_operator)
            .field("registered", registered)
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
        Self { by: SafeText::excerpt(by, NAME_CHARS), reason, since, until }
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
pub(super) enum Kind {
    Ban,
    Mute,
}

/// One step from the book as it is to the book as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// An account is new, or is no longer what it was.
    Keep(Account),
    /// An account is gone.
    Forget(AccountId),
    /// Somebody is banned or muted.
    Impose(Kind, Banned, Sanction),
    /// Somebody is no longer: the very one on whom it was imposed, not one who looks like it.
    Lift(Kind, Banned),
}

/// What two that are banned by the same ban have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Look(String),
    Source(Source),
}

impl From<&Banned> for Mark {
    fn from(banned: &Banned) -> Self {
        match banned {
            Banned::Name(name) => Self::Look(name.look().to_owned()),
            Banned::Source(source) => Self::Source(*source),
        }
    }
}

/// All sanctions of a kind.
type Sanctions = BTreeMap<Mark, (Banned, Sanction)>;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Book {
    accounts: BTreeMap<AccountId, Account>,
    /// The accounts by [`Name::key`].
    keys: HashMap<String, AccountId>,
    /// The accounts by [`Name::look`]. There is one for each look, unless what looks alike has changed with a new Unicode.
    looks: BTreeSet<(String, AccountId)>,
    /// The number of the next account.
    next: u64,
    bans: Sanctions,
    mutes: Sanctions,
}

impl Book {
    pub(super) fn account(&self, name: &Name) -> Option<&Account> {
        self.accounts.get(self.keys.get(name.key())?)
    }

    pub(super) fn account_of(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// A registered name that is another one but looks like this one.
    pub(super) fn lookalike(&self, name: &Name) -> Option<&Name> {
        self.looks
            .range((name.look().to_owned(), AccountId(0))..)
            .take_while(|(look, _)| look == name.look())
            .filter_map(|(_, id)| self.accounts.get(id))
            .map(|account| &account.name)
            .find(|other| other.key() != name.key())
    }

    /// All accounts, by their names' keys.
    pub(super) fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<_> = self.accounts.values().cloned().collect();
        accounts.sort_by(|a, b| a.name.key().cmp(b.name.key()));
        accounts
    }

    pub(super) fn sanction(&self, kind: Kind, banned: &Banned, now: SystemTime) -> Option<&Sanction> {
        let (_, sanction) = self.sanctions(kind).get(&banned.into())?;
        sanction.is_in_force(now).then_some(sanction)
    }

    /// All sanctions of a kind that are in force: names by what they look like, then sources.
    pub(super) fn sanctioned(&self, kind: Kind, now: SystemTime) -> Vec<(Banned, Sanction)> {
        self.sanctions(kind).values().filter(|(_, sanction)| sanction.is_in_force(now)).cloned().collect()
    }

    /// The account that a new name would be.
    pub(super) fn registration(&self, name: Name, hash: String, now: SystemTime) -> Result<Account, ActError> {
        if self.account(&name).is_some() {
            return Err(ActError::AlreadyRegistered);
        }
        if let Some(other) = self.lookalike(&name) {
            return Err(ActError::LooksRegistered(other.clone()));
        }
        if self.accounts.len() >= ACCOUNTS {
            return Err(ActError::Full);
        }
        Ok(Account { id: AccountId(self.next), name, hash, is_operator: false, registered: now })
    }

    /// What it takes to impose a sanction, in place of a former one if there is one.
    pub(super) fn imposition(&self, kind: Kind, banned: Banned, sanction: Sanction) -> Result<Vec<Change>, ActError> {
        let sanctions = self.sanctions(kind);
        let mut changes = self.sweep(sanction.since);
        let expired = changes.iter().filter(|change| matches!(change, Change::Lift(of, _) if *of == kind)).count();
        let former = sanctions.get(&Mark::from(&banned));
        if former.is_none() && sanctions.len() - expired >= SANCTIONS {
            return Err(ActError::Full);
        }
        // It can have been imposed on one who looks alike.
        changes.extend(former.map(|(former, _)| Change::Lift(kind, former.clone())));
        changes.push(Change::Impose(kind, banned, sanction));
        Ok(changes)
    }

    /// What it takes to lift a sanction, and whether it was in force.
    pub(super) fn lifting(&self, kind: Kind, banned: &Banned, now: SystemTime) -> (Vec<Change>, bool) {
        let mut changes = self.sweep(now);
        let found = self.sanctions(kind).get(&banned.into()).filter(|(_, sanction)| sanction.is_in_force(now));
        changes.extend(found.map(|(former, _)| Change::Lift(kind, former.clone())));
        (changes, found.is_some())
    }

    /// What it takes to get rid of all sanctions that are over.
    pub(super) fn sweep(&self, now: SystemTime) -> Vec<Change> {
        let over = |kind| {
            let over = self.sanctions(kind).values().filter(move |(_, sanction)| !sanction.is_in_force(now));
            over.map(move |(banned, _)| Change::Lift(kind, banned.clone()))
        };
        over(Kind::Ban).chain(over(Kind::Mute)).collect()
    }

    /// What else there is of the same look and is no better: only a new Unicode can have made them look alike.
    pub(super) fn superseded(&self, kind: Kind, banned: &Banned, sanction: &Sanction) -> Option<Change> {
        let (other, its) = self.sanctions(kind).get(&banned.into())?;
        let weaker = if sanction.outlasts(its) { other } else { banned };
        Some(Change::Lift(kind, weaker.clone()))
    }

    /// Numbers accounts from `next` on, unless one of them is beyond that already.
    pub(super) fn number_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Keep(account) => {
                self.forget(account.id);
                self.number_from(account.id.0.saturating_add(1));
                self.keys.insert(account.name.key().to_owned(), account.id);
                self.looks.insert((account.name.look().to_owned(), account.id));
                self.accounts.insert(account.id, account);
            }
            Change::Forget(id) => self.forget(id),
            Change::Impose(kind, banned, sanction) => {
                self.sanctions_mut(kind).insert(Mark::from(&banned), (banned, sanction));
            }
            Change::Lift(kind, banned) => {
                let mark = Mark::from(&banned);
                let sanctions = self.sanctions_mut(kind);
                if sanctions.get(&mark).is_some_and(|(held, _)| *held == banned) {
                    sanctions.remove(&mark);
                }
            }
        }
    }

    fn forget(&mut self, id: AccountId) {
        if let Some(Account { name, .. }) = self.accounts.remove(&id) {
            self.keys.remove(name.key());
            self.looks.remove(&(name.look().to_owned(), id));
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
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn banned(text: &str) -> Banned {
        text.parse().map_or_else(|_| Banned::Name(name(text)), Banned::Source)
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + 1_000_000 * S
    }

    fn sanction(until: Option<SystemTime>) -> Sanction {
        Sanction::new("Olga", Some("noise"), now(), until)
    }

    fn register(book: &mut Book, text: &str) -> Result<Account, ActError> {
        let account = book.registration(name(text), format!("hash of {text}"), now())?;
        book.apply(Change::Keep(account.clone()));
        Ok(account)
    }

    fn impose(book: &mut Book, kind: Kind, text: &str, until: Option<SystemTime>) {
        for change in book.imposition(kind, banned(text), sanction(until)).unwrap() {
            book.apply(change);
        }
    }

    fn lift(book: &mut Book, kind: Kind, text: &str, now: SystemTime) -> bool {
        let (changes, was_there) = book.lifting(kind, &banned(text), now);
        changes.into_iter().for_each(|change| book.apply(change));
        was_there
    }

    fn listed(book: &Book, kind: Kind, now: SystemTime) -> Vec<String> {
        book.sanctioned(kind, now).into_iter().map(|(banned, _)| banned.to_string()).collect()
    }

    #[test]
    fn an_account_is_found_by_its_name_in_any_case_and_warns_of_look_alikes() {
        let mut book = Book::default();
        let bob = register(&mut book, "Bob").unwrap();
        assert_eq!(book.account(&name("BOB")), Some(&bob));
        assert_eq!(book.account(&name("B0b")), None);
        assert_eq!(book.lookalike(&name("B0b")), Some(&name("Bob")));
        assert_eq!(book.lookalike(&name("bob")), None, "it is Bob himself");
        assert_eq!(book.lookalike(&name("Bo")), None);
    }

    #[test]
    fn a_name_is_registered_once_and_no_look_alike_beside_it() {
        let mut book = Book::default();
        register(&mut book, "Bob").unwrap();
        assert_eq!(register(&mut book, "bOB"), Err(ActError::AlreadyRegistered));
        assert_eq!(register(&mut book, "B0b"), Err(ActError::LooksRegistered(name("Bob"))));
    }

    #[test]
    fn the_number_of_a_lost_account_is_not_given_again() {
        let mut book = Book::default();
        let first = register(&mut book, "Bob").unwrap();
        book.apply(Change::Forget(first.id));
        assert_eq!((book.account(&name("Bob")), book.lookalike(&name("B0b"))), (None, None));
        let second = register(&mut book, "B0b").unwrap();
        assert!(second.id > first.id);
        assert_eq!(book.account_of(first.id), None);
    }

    #[test]
    fn accounts_are_full_at_their_limit() {
        let mut book = Book::default();
        for id in 0..ACCOUNTS as u64 {
            // Letters instead of digits, which can look like one another.
            let letters: String = id.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
            let account = Account {
                id: AccountId(id),
                name: name(&format!("x{letters}")),
                hash: String::new(),
                is_operator: false,
                registered: now(),
            };
            book.apply(Change::Keep(account));
        }
        assert_eq!(book.accounts().len(), ACCOUNTS);
        assert_eq!(register(&mut book, "Zoe"), Err(ActError::Full));
        book.apply(Change::Forget(AccountId(7)));
        assert!(register(&mut book, "Zoe").is_ok());
    }

    #[test]
    fn accounts_are_listed_by_their_names() {
        let mut book = Book::default();
        for text in ["Zoe", "anna", "Bert"] {
            register(&mut book, text).unwrap();
        }
        let names: Vec<_> = book.accounts().into_iter().map(|account| account.name.to_string()).collect();
        assert_eq!(names, ["anna", "Bert", "Zoe"]);
    }

    #[test]
    fn a_ban_holds_for_look_alikes_until_its_time_is_over() {
        let mut book = Book::default();
        impose(&mut book, Kind::Ban, "Bob", Some(now() + 60 * S));
        for text in ["Bob", "BOB", "B0b"] {
            assert_eq!(book.sanction(Kind::Ban, &banned(text), now() + 59 * S), Some(&sanction(Some(now() + 60 * S))));
            assert_eq!(book.sanction(Kind::Ban, &banned(text), now() + 60 * S), None);
        }
        assert_eq!(book.sanction(Kind::Ban, &banned("Rob"), now()), None);
        assert_eq!(book.sanction(Kind::Mute, &banned("Bob"), now()), None);
    }

    #[test]
    fn a_ban_on_a_network_holds_for_all_of_it() {
        let mut book = Book::default();
        impose(&mut book, Kind::Ban, "2001:db8::1", None);
        assert!(book.sanction(Kind::Ban, &banned("2001:db8::2"), now()).is_some());
        assert_eq!(book.sanction(Kind::Ban, &banned("2001:db8:0:1::1"), now()), None);
    }

    #[test]
    fn one_ban_takes_the_place_of_another_on_a_look_alike_and_is_lifted_by_any_of_them() {
        let mut book = Book::default();
        impose(&mut book, Kind::Ban, "Bob", None);
        impose(&mut book, Kind::Ban, "B0b", Some(now() + S));
        assert_eq!(listed(&book, Kind::Ban, now()), ["B0b"]);
        assert!(lift(&mut book, Kind::Ban, "bob", now()));
        assert!(!lift(&mut book, Kind::Ban, "bob", now()));
        assert_eq!(book, Book::default());
    }

    #[test]
    fn bans_are_listed_in_order_and_those_that_are_over_are_not() {
        let mut book = Book::default();
        for (text, until) in [("192.0.2.1", None), ("Zoe", None), ("anna", Some(now() + S)), ("10.0.0.1", None)] {
            impose(&mut book, Kind::Ban, text, until);
        }
        assert_eq!(listed(&book, Kind::Ban, now()), ["anna", "Zoe", "10.0.0.1", "192.0.2.1"]);
        assert_eq!(listed(&book, Kind::Ban, now() + S), ["Zoe", "10.0.0.1", "192.0.2.1"]);
    }

    #[test]
    fn what_is_over_is_swept_with_the_next_change_and_is_not_lifted() {
        let mut book = Book::default();
        impose(&mut book, Kind::Ban, "anna", Some(now() + S));
        impose(&mut book, Kind::Mute, "Zoe", Some(now() + S));
        assert_eq!(book.sweep(now()), []);
        assert!(!lift(&mut book, Kind::Ban, "anna", now() + S));
        assert_eq!(book, Book::default());
    }

    #[test]
    fn bans_are_full_at_their_limit_and_those_that_are_over_make_room() {
        let mut book = Book::default();
        for number in 0..SANCTIONS as u32 {
            let until = (number == 0).then_some(now() + S);
            let banned = Banned::Source(Source::V4(number.to_be_bytes()));
            book.apply(Change::Impose(Kind::Ban, banned, sanction(until)));
        }
        assert_eq!(book.imposition(Kind::Ban, banned("Bob"), sanction(None)), Err(ActError::Full));
        assert!(book.imposition(Kind::Ban, banned("0.0.0.1"), sanction(None)).is_ok(), "it takes the place of its own");
        assert!(book.imposition(Kind::Mute, banned("Bob"), sanction(None)).is_ok());
        let later = Sanction::new("Olga", None, now() + S, None);
        assert!(book.imposition(Kind::Ban, banned("Bob"), later).is_ok());
    }

    #[test]
    fn a_reason_is_safe_and_bounded() {
        let sanction = Sanction::new("Olga", Some(&format!("\x1b{}", "x".repeat(5000))), now(), None);
        assert_eq!(sanction.reason().unwrap().as_str(), format!("^[{}…", "x".repeat(REASON_CHARS - 1)));
    }

    #[test]
    fn a_hash_is_not_shown() {
        let shown = format!("{:?}", register(&mut Book::default(), "Bob").unwrap());
        assert!(shown.contains("Bob") && !shown.contains("hash"), "{shown}");
    }
}
