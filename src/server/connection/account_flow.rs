//! `/register`, `/password` and `/unregister`: the steps in which a peer changes its own account.
//!
//! The session passes the requested lines to this module, and none of them reaches the room. Replies go through the
//! broker, so they come after what was said before.

use std::time::SystemTime;

use async_std::task;
use futures::FutureExt;
use futures::future::select;

use crate::accounts::Accounts;
use crate::log::Record;
use crate::model::address::{Network, PeerAddr};
use crate::model::limit_key::LimitKeys;
use crate::model::{AccountId, Name, PeerId, Secret};
use crate::protocol::secret_line::read_secret;
use crate::protocol::{AccountCommand, Line, Notice, Refusal};
use crate::server::access::penalties::Offence;
use crate::server::admin::moderation::Actor;
use crate::server::shared::Shared;

/// An account command in progress.
#[derive(Debug)]
pub(crate) struct AccountFlow {
    command: AccountCommand,
    by: Actor,
    /// The name to register, or the registered name.
    name: Name,
    from: PeerAddr,
    payer: Network,
    account_id: Option<AccountId>,
    /// The hash of the present password, once the peer has proved to know it.
    proved: Option<String>,
    next: Next,
}

/// What the next line must be.
#[derive(Debug)]
enum Next {
    Present,
    New,
    /// The new password again.
    Again(Secret),
}

impl AccountFlow {
    /// Starts an account command. `None` if the peer has left the room.
    ///
    /// `is_protected` means that nobody between the peer and the server can read what it sends.
    pub(crate) async fn begin(
        shared: &Shared,
        peer: PeerId,
        (payer, is_protected): (Network, bool),
        command: AccountCommand,
    ) -> Option<Result<Step, Refusal>> {
        let asked = shared.who_is(peer).await?;
        let by = shared.actor(&asked);
        let (auth, from, account_id) = (&shared.auth, asked.from, asked.account_id);
        let Some(accounts) = auth.accounts() else { return Some(Err(Refusal::NoAccounts)) };
        if !is_protected {
            return Some(Err(Refusal::Unprotected));
        }
        // An operator may have deleted the account meanwhile.
        let account = account_id.and_then(|account_id| accounts.account_of(account_id));
        let (name, next) = match (command, account) {
            (AccountCommand::Register, None) => (asked.name, Next::New),
            (AccountCommand::Register, Some(account)) => return Some(Err(Refusal::AlreadyRegistered(account.name))),
            (_, Some(account)) => (account.name, Next::Present),
            (_, None) => return Some(Err(Refusal::NotRegistered)),
        };
        let this = Self { command, by, name, from, payer, account_id, proved: None, next };
        if let Err(refusal) = shared.connection_limits.may_try(&this.keys()) {
            return Some(Err(refusal));
        }
        Some(Ok(Step::Ask(Box::new(this))))
    }

    /// The keys whose limits and penalties apply.
    fn keys(&self) -> LimitKeys {
        match self.command {
            AccountCommand::Register => LimitKeys::of(self.payer),
            AccountCommand::ChangePassword | AccountCommand::Unregister => LimitKeys::with_name(self.payer, &self.name),
        }
    }

    /// Handles the line that the peer was asked for.
    pub(crate) async fn take(mut self: Box<Self>, shared: &Shared, peer: PeerId, line: Line) -> Result<Step, Refusal> {
        let secret = read_secret(line)?;
        let accounts = shared.auth.accounts().ok_or(Refusal::NoAccounts)?;
        let keys = self.keys();
        match (std::mem::replace(&mut self.next, Next::New), self.command) {
            (Next::Present, command) => {
                // A short line is not a guess: it cancels the command, and costs nothing.
                let secret = secret?;
                secret.check_strength()?;
                let tried = shared.connection_limits.begin_try(&keys).await?;
                let proved = shared.auth.prove(secret, self.account_id, &keys).await;
                if proved == Ok(None) {
                    let (from, name) = (self.from, self.name.clone());
                    shared.log.note(Record::WrongPassword { peer, from, name });
                    drop(tried);
                    if from.is_this_machine() {
                        let pause = task::sleep(shared.config.wrong_password_pause).boxed();
                        select(pause, shared.stop.clone()).await;
                    }
                    return Err(Refusal::WrongPassword);
                }
                tried.forgive();
                self.proved = proved?;
                if command == AccountCommand::Unregister {
                    return unregister(shared, accounts, (peer, &self.by), self.account_id, self.name)
                        .await
                        .map(Step::Done);
                }
                Ok(Step::Ask(self))
            }
            (Next::New, _) => {
                let secret = secret?;
                secret.check_strength()?;
                self.next = Next::Again(secret);
                Ok(Step::Ask(self))
            }
            (Next::Again(first), command) => {
                if !secret.is_ok_and(|secret| secret.is(&first)) {
                    return Err(Refusal::PasswordsDiffer);
                }
                // So a source has no more concurrent hashes than it has tries.
                let tried = shared.connection_limits.begin_try(&keys).await?;
                let hash = shared.auth.hash(first, &keys).await;
                tried.forgive();
                let hash = hash?;
                if shared.who_is(peer).await.is_none() {
                    // An operator has removed the peer meanwhile.
                    return Err(Refusal::NotRegistered);
                }
                match (command, self.account_id) {
                    (AccountCommand::Register, _) => register(shared, accounts, (peer, &keys), self.name, hash).await,
                    (_, Some(account_id)) => {
                        change_password(shared, accounts, (account_id, &self.by), self.name, (self.proved, hash)).await
                    }
                    (_, None) => Err(Refusal::NotRegistered),
                }
                .map(Step::Done)
            }
        }
    }
}

/// The result of a line.
pub(crate) enum Step {
    /// The peer is asked for another line.
    Ask(Box<AccountFlow>),
    /// The command is complete.
    Done(Notice),
}

impl Step {
    /// The notice for the peer.
    pub(crate) fn notice(&self) -> Notice {
        match self {
            Self::Ask(flow) => flow.next.question(),
            Self::Done(notice) => notice.clone(),
        }
    }
}

impl Next {
    fn question(&self) -> Notice {
        match self {
            Self::Present => Notice::SendPassword,
            Self::New => Notice::SendNewPassword,
            Self::Again(_) => Notice::SendItAgain,
        }
    }
}

async fn register(
    shared: &Shared,
    accounts: &Accounts,
    (peer, keys): (PeerId, &LimitKeys),
    name: Name,
    hash: String,
) -> Result<Notice, Refusal> {
    let registered = accounts.register(name.clone(), hash, SystemTime::now()).await;
    let account = registered.map_err(|error| shared.not_done(error, (&name).into()))?;
    shared.connection_limits.charge(keys, Offence::Registration);
    shared.set_account(peer, Some(account.id)).await;
    let by = Actor::Peer { peer, name: name.clone(), account: Some(account.name) };
    shared.record("register", &by, name.as_str(), None, None);
    Ok(Notice::Registered(name))
}

async fn change_password(
    shared: &Shared,
    accounts: &Accounts,
    (account_id, by): (AccountId, &Actor),
    name: Name,
    (proved, hash): (Option<String>, String),
) -> Result<Notice, Refusal> {
    let changed = accounts.change_password(account_id, proved, hash).await;
    changed.map_err(|error| shared.not_done(error, (&name).into()))?;
    shared.record("password", by, name.as_str(), None, None);
    Ok(Notice::PasswordChanged(name))
}

async fn unregister(
    shared: &Shared,
    accounts: &Accounts,
    (peer, by): (PeerId, &Actor),
    account_id: Option<AccountId>,
    name: Name,
) -> Result<Notice, Refusal> {
    let account_id = account_id.ok_or(Refusal::NotRegistered)?;
    accounts.unregister(account_id).await.map_err(|error| shared.not_done(error, (&name).into()))?;
    shared.set_account(peer, None).await;
    shared.record("unregister", by, name.as_str(), None, None);
    Ok(Notice::Unregistered(name))
}
