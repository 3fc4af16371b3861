//! All accounts, bans and mutes, in memory.
//!
//! Plain data without files, tasks or clocks. A change is first expressed as [`Change`]s, which the
//! [store](crate::accounts::store) writes. Only then is it applied here, so the memory never contains what the file
//! does not.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::accounts::ChangeError;
use crate::limits::{ACCOUNTS, IMPOSER_CHARS, LOGINS_NOTED, REASON_CHARS, SANCTIONS};
use crate::model::{AccountId, Name, SafeText};
use crate::protocol::Banned;

#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Identifies the account, whatever happens to its name.
    pub id: AccountId,
    /// As it was registered.
    pub name: Name,
    /// The hash of the password, as a PHC string.
    pub hash: String,
    /// Whether the owner is an operator.
    pub is_operator: bool,
    pub registered: SystemTime,
    /// The last login, up to [a day](crate::limits::LOGINS_NOTED) too early. If there is none on record: when recording
    /// began, or the registration if that is later.
    pub used: SystemTime,
}

/// Hashes must not get into a log.
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

/// A ban or a mute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sanction {
    by: SafeText,
    reason: Option<SafeText>,
    since: SystemTime,
    until: Option<SystemTime>,
}

impl Sanction {
    /// The reason is cut to [`REASON_CHARS`] characters.
    pub fn new(by: &str, reason: Option<&str>, since: SystemTime, until: Option<SystemTime>) -> Self {
        let reason = reason.map(|reason| SafeText::excerpt(reason, REASON_CHARS));
        Self { by: SafeText::excerpt(by, IMPOSER_CHARS), reason, since, until }
    }

    pub fn by(&self) -> &SafeText {
        &self.by
    }

    pub fn reason(&self) -> Option<&SafeText> {
        self.reason.as_ref()
    }

    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// `None`: until it is lifted.
    pub fn until(&self) -> Option<SystemTime> {
        self.until
    }

    pub fn is_in_force(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    fn outlasts(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (mine, Some(its)) => mine.is_none_or(|mine| mine > its),
            (_, None) => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ban,
    Mute,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// An account is new or has changed.
    Keep(Account),
    /// An account was removed.
    Forget(AccountId),
    /// A ban or mute was imposed.
    Impose(Kind, Banned, Sanction),
    /// A ban or mute with this spelling was removed. The same name may have another one with a different spelling.
    Lift(Kind, Banned),
}

/// All sanctions of a kind, each with the spelling of the operator, which is its key in the file.
type Sanctions = BTreeMap<Banned, (Banned, Sanction)>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    accounts: BTreeMap<AccountId, Account>,
    names: HashMap<Name, AccountId>,
    /// Accounts whose name an older account has.
    set_aside: BTreeMap<AccountId, Account>,
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

    /// Whether this account exists, set aside or not.
    pub(crate) fn has(&self, id: AccountId) -> bool {
        self.accounts.contains_key(&id) || self.set_aside.contains_key(&id)
    }

    /// The accounts that are set aside, with the names of those that have their name.
    pub(crate) fn set_aside(&self) -> Vec<(Account, Name)> {
        let older = |account: &Account| self.account(&account.name).map(|older| older.name.clone());
        self.set_aside.values().filter_map(|account| Some((account.clone(), older(account)?))).collect()
    }

    /// The account with this spelling, set aside or not.
    pub(crate) fn account_written(&self, name: &Name) -> Option<&Account> {
        let set_aside = || self.set_aside.values().find(|account| account.name.folded() == name.folded());
        let account = self.account(name)?;
        if account.name.folded() == name.folded() { Some(account) } else { set_aside().or(Some(account)) }
    }

    /// All accounts, sorted by name.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<_> = self.accounts.values().cloned().collect();
        accounts.sort_by(|a, b| a.name.folded().cmp(b.name.folded()));
        accounts
    }

    pub(crate) fn sanction(&self, kind: Kind, banned: &Banned, now: SystemTime) -> Option<&Sanction> {
        let (_, sanction) = self.sanctions(kind).get(banned)?;
        sanction.is_in_force(now).then_some(sanction)
    }

    /// All sanctions of a kind in force: names first, then networks.
    pub(crate) fn sanctioned(&self, kind: Kind, now: SystemTime) -> Vec<(Banned, Sanction)> {
        self.sanctions(kind).values().filter(|(_, sanction)| sanction.is_in_force(now)).cloned().collect()
    }

    /// A new account for this name.
    pub(crate) fn registration(&self, name: Name, hash: String, now: SystemTime) -> Result<Account, ChangeError> {
        if let Some(account) = self.account(&name) {
            return Err(ChangeError::AlreadyRegistered(account.name.clone()));
        }
        if self.accounts.len() + self.set_aside.len() >= ACCOUNTS {
            return Err(ChangeError::Full);
        }
        Ok(Account { id: AccountId(self.next), name, hash, is_operator: false, registered: now, used: now })
    }

    /// The change that records a login, if none is recorded for this day.
    pub(crate) fn login(&self, id: AccountId, now: SystemTime) -> Option<Change> {
        let account = self.account_of(id)?;
        let is_due = now.duration_since(account.used).is_ok_and(|since| since >= LOGINS_NOTED);
        is_due.then(|| Change::Keep(Account { used: now, ..account.clone() }))
    }

    /// The accounts that have not been used for this long, including those that are set aside.
    pub(crate) fn unused(&self, time: Duration, now: SystemTime) -> Vec<Account> {
        let is_unused = |account: &&Account| now.duration_since(account.used).is_ok_and(|since| since >= time);
        self.accounts.values().chain(self.set_aside.values()).filter(is_unused).cloned().collect()
    }

    /// The changes that impose a sanction and replace a previous one.
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
        // The name may have a different spelling.
        changes.extend(former.map(|(former, _)| Change::Lift(kind, former.clone())));
        changes.push(Change::Impose(kind, banned, sanction));
        Ok(changes)
    }

    /// The changes that lift a sanction, and whether it was in force.
    pub(crate) fn lifting(&self, kind: Kind, banned: &Banned, now: SystemTime) -> (Vec<Change>, bool) {
        let mut changes = self.sweep(now);
        let found = self.sanctions(kind).get(banned).filter(|(_, sanction)| sanction.is_in_force(now));
        changes.extend(found.map(|(former, _)| Change::Lift(kind, former.clone())));
        (changes, found.is_some())
    }

    /// The changes that remove all expired sanctions.
    pub(crate) fn sweep(&self, now: SystemTime) -> Vec<Change> {
        let over = |kind| {
            let over = self.sanctions(kind).values().filter(move |(_, sanction)| !sanction.is_in_force(now));
            over.map(move |(banned, _)| Change::Lift(kind, banned.clone()))
        };
        over(Kind::Ban).chain(over(Kind::Mute)).collect()
    }

    /// Adds a sanction from the file. An older version may have written two for the same name or address; then the one
    /// that ends later is kept. Returns the changes that remove the other from the file.
    pub(crate) fn take_in(&mut self, kind: Kind, banned: Banned, sanction: Sanction) -> Vec<Change> {
        let Some((former, other)) = self.sanctions(kind).get(&banned).cloned() else {
            self.apply(Change::Impose(kind, banned, sanction));
            return Vec::new();
        };
        let (longer, shorter) =
            if sanction.outlasts(&other) { ((banned, sanction), former) } else { ((former, other), banned) };
        // If both have the same spelling, removing one removes both.
        let changes = vec![Change::Lift(kind, shorter), Change::Impose(kind, longer.0, longer.1)];
        changes.iter().cloned().for_each(|change| self.apply(change));
        changes
    }

    /// Numbers new accounts from `next`, or after the highest number in use.
    pub(crate) fn number_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// The number of the next account.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether there is no account and no sanction, and never was an account.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The changes that make this out of nothing.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let accounts = self.accounts.values().chain(self.set_aside.values()).cloned().map(Change::Keep);
        let sanctions = [Kind::Ban, Kind::Mute].into_iter().flat_map(|kind| {
            let impose =
                move |(banned, sanction): &(Banned, Sanction)| Change::Impose(kind, banned.clone(), sanction.clone());
            self.sanctions(kind).values().map(impose)
        });
        accounts.chain(sanctions).collect()
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
mod tests;
