//! The credentials that an intruder got hold of.

use crate::model::AccountId;
use crate::sim::authenticate::sign::AccessKey;
use crate::sim::client::Answer;
use crate::sim::world::Secret;

/// How many sessions of one origin are kept: the first ones, because they may outlive what is done against later ones, and
/// the last.
const KEPT: usize = 2;

/// Credentials, and what the intruder calls them.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    /// `key AKIA… of mara.weiss`, `role Auditor`.
    pub name: String,
    /// The account in which they work.
    pub account: AccountId,
    /// The user whose long-term key it is.
    pub user: Option<String>,
    /// The key.
    pub key: AccessKey,
}

/// All that it holds.
#[derive(Debug, Default)]
pub(super) struct Wallet(Vec<Credential>);

impl Wallet {
    /// The long-term keys of a scenario.
    pub fn of(keys: &[(AccountId, String, AccessKey)]) -> Self {
        let mut wallet = Self::default();
        for (account, user, key) in keys {
            wallet.add_key(account, user, key.clone());
        }
        wallet
    }

    /// Everything, oldest first.
    pub fn all(&self) -> Vec<Credential> {
        self.0.clone()
    }

    /// The ids of the long-term keys of a user.
    pub fn keys_of(&self, account: &AccountId, user: &str) -> Vec<String> {
        let of_user = self.0.iter().filter(|held| held.account == *account && held.user.as_deref() == Some(user));
        of_user.map(|held| held.key.id.clone()).collect()
    }

    /// Whether there is something of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|held| held.name == name)
    }

    /// Adds a long-term key.
    pub fn add_key(&mut self, account: &AccountId, user: &str, key: AccessKey) {
        let name = format!("key {} of {user}", key.id);
        self.0.push(Credential { name, account: account.clone(), user: Some(user.to_owned()), key });
    }

    /// Adds a session; of too many of one name the last is replaced.
    pub fn add_session(&mut self, account: &AccountId, name: String, key: AccessKey) {
        let same: Vec<usize> = (0..self.0.len()).filter(|nth| self.0[*nth].name == name).collect();
        let session = Credential { name, account: account.clone(), user: None, key };
        match same.last() {
            Some(last) if same.len() >= KEPT => self.0[*last] = session,
            _ => self.0.push(session),
        }
    }
}

/// The key in the answer of CreateAccessKey, AssumeRole or GetSessionToken.
pub(super) fn key_in(answer: &Answer) -> Option<AccessKey> {
    let text = |name| answer.first(name).map(str::to_owned);
    Some(AccessKey {
        id: text("AccessKeyId")?,
        secret: Secret(text("SecretAccessKey")?),
        token: text("SessionToken").map(Secret),
    })
}
