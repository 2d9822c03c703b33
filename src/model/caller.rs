use serde::{Deserialize, Serialize};

use super::AccountId;

/// Who runs quell: the answer of `sts:GetCallerIdentity`, shown and journalled before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The ARN as STS gives it: a user, a root, or an assumed-role session.
    pub arn: String,
    /// The caller's own account.
    pub account: AccountId,
    /// The unique id: `AIDA…`, or `AROA…:session`.
    pub user_id: String,
    /// The access key in use, if it is known.
    pub access_key: Option<String>,
    /// The endpoint that replaces AWS's, if one is configured.
    pub endpoint: Option<String>,
}

impl Caller {
    /// The partition of the caller's ARN: `aws`, `aws-cn`, `aws-us-gov`, …
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }

    /// Whether this is an account's root user.
    pub fn is_root(&self) -> bool {
        self.arn.ends_with(":root")
    }

    /// The ARN that IAM conditions and simulations see: for a session the ARN of its *role*
    /// (`arn:aws:iam::…:role/NAME`, without a path, which a session's ARN does not carry), else the ARN itself.
    pub fn principal_arn(&self) -> String {
        let mut parts = self.arn.splitn(6, ':');
        let (arn, partition, service) = (parts.next(), parts.next(), parts.next());
        let (_, account, resource) = (parts.next(), parts.next(), parts.next());
        match (arn, partition, service, account, resource) {
            (Some(_), Some(partition), Some("sts"), Some(account), Some(resource)) => {
                let role = resource.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next());
                role.map_or_else(|| self.arn.clone(), |role| format!("arn:{partition}:iam::{account}:role/{role}"))
            }
            _ => self.arn.clone(),
        }
    }

    /// The IAM user's name, if the caller is a user.
    pub fn user_name(&self) -> Option<&str> {
        self.arn.split_once(":user/").map(|(_, path)| path.rsplit('/').next().unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(arn: &str) -> Caller {
        Caller {
            arn: arn.into(),
            account: AccountId::new("111122223333").unwrap(),
            user_id: "AIDAEXAMPLE".into(),
            access_key: None,
            endpoint: None,
        }
    }

    #[test]
    fn the_principal_of_a_session_is_its_role() {
        let session = caller("arn:aws-cn:sts::111122223333:assumed-role/IRResponder/quell");
        assert_eq!(session.principal_arn(), "arn:aws-cn:iam::111122223333:role/IRResponder");
        assert_eq!(session.partition(), "aws-cn");
        let user = caller("arn:aws:iam::111122223333:user/ops/anna");
        assert_eq!(user.principal_arn(), user.arn);
        assert_eq!(user.user_name(), Some("anna"));
    }
}
