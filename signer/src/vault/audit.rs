//! What the vault does with the token's audit key: makes it, proves it, signs the ledger's head. Nothing else is signed.

use super::{Vault, VaultError};
use crate::audit_key::AuditKey;
use crate::ledger::Head;
use crate::ledger::device_log::DeviceLog;
use crate::ledger::event::checkpoint_text;
use crate::token::{AuditSignature, Token, TokenError};
use onionkeep_common::paper::Bundle;

/// Signed once to see that the public half belongs to the private one. Starts like no checkpoint.
const PROBE: &[u8] = b"onionkeep audit key probe v1\n";

impl<T: Token> Vault<T> {
    /// The token's audit key, after it has shown that it signs for its public half.
    ///
    /// # Errors
    /// [`VaultError::Token`] if there is none, it is not guarded, or its signature does not verify.
    pub fn audit_key(&mut self) -> Result<AuditKey, VaultError> {
        let key = self.token.audit_key()?;
        let signature = self.token.sign_audit(PROBE)?;
        verified(key, PROBE, signature)?;
        Ok(key)
    }

    /// The token's audit key; made now if there is none.
    ///
    /// # Errors
    /// [`VaultError::Token`] if it cannot be made or is no good.
    pub fn ensure_audit_key(&mut self) -> Result<AuditKey, VaultError> {
        if matches!(self.token.audit_key(), Err(TokenError::NoAuditKey)) {
            let _as_made = self.token.create_audit_key()?;
        }
        self.audit_key()
    }

    /// Signs the head of the ledger; the text is built here.
    ///
    /// # Errors
    /// [`VaultError::Token`] if the token is away or has no audit key.
    pub fn sign_head(&mut self, seq: u64, head: [u8; 32]) -> Result<AuditSignature, VaultError> {
        Ok(self.token.sign_audit(checkpoint_text(seq, Head(head)).as_bytes())?)
    }

    /// How much of the token's own log is on record, for the ledger.
    ///
    /// # Errors
    /// [`VaultError::Token`] if the record cannot be read.
    pub fn device_log(&mut self) -> Result<Option<DeviceLog>, VaultError> {
        Ok(self.token.device_log()?)
    }

    /// Signs a bundle; the text, which starts like no checkpoint, is built here.
    ///
    /// # Errors
    /// [`VaultError::Token`] if the token is away or has no audit key.
    pub fn sign_bundle(&mut self, bundle: &Bundle) -> Result<AuditSignature, VaultError> {
        Ok(self.token.sign_audit(bundle.text().as_bytes())?)
    }
}

/// Checks a signature, if this program can.
fn verified(key: AuditKey, message: &[u8], signature: AuditSignature) -> Result<(), VaultError> {
    use crate::audit_key::AuditKeyError;
    match key.verify(message, &signature) {
        Ok(()) | Err(AuditKeyError::NoP256) => Ok(()),
        Err(why) => {
            let error = TokenError::Failed { what: "signing with the audit key", why: why.to_string() };
            Err(VaultError::Token(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::fake::FakeToken;

    fn vault(token: &FakeToken) -> Vault<FakeToken> {
        let dir = tempfile::tempdir().unwrap();
        Vault::open(token.clone(), dir.path()).unwrap()
    }

    #[test]
    fn an_audit_key_is_made_once_and_signs_heads() {
        let token = FakeToken::new("1");
        let mut vault = vault(&token);
        assert!(matches!(vault.audit_key(), Err(VaultError::Token(TokenError::NoAuditKey))));
        let key = vault.ensure_audit_key().unwrap();
        assert_eq!(vault.ensure_audit_key().unwrap(), key);
        let signature = vault.sign_head(7, [3; 32]).unwrap();
        let text = format!("onionkeep ledger checkpoint v1\n7 {}\n", "03".repeat(32));
        assert_eq!(key.verify(text.as_bytes(), &signature), Ok(()));
    }

    #[test]
    fn an_audit_key_whose_signatures_are_wrong_is_refused() {
        let token = FakeToken::new("1");
        token.inside.lock().unwrap().wrong_signatures = true;
        assert!(vault(&token).ensure_audit_key().is_err());
    }
}
