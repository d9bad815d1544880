//! Books with a mistake each, which the model of threads must find (`signer/src/gate/model.rs`). In no other build.

use super::*;

impl Books {
    /// As [`Books::admit`], but the lock is given back between the check and the record.
    pub(in crate::gate) fn admit_by_halves(
        &self,
        policy: &Policy,
        question: &Question<'_>,
    ) -> Result<Admitted, Denial> {
        let expires = ExpirationHours::of_desc_signing_cert(question.now);
        let slot_key = (question.request.key, expires);
        let mut inner = self.lock();
        while inner.flights.contains(&slot_key) {
            inner = self.landed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let period = policy
            .check(question, inner.ledger.memory())
            .map_err(|refusal| inner.refused(question, refusal))?;
        if let Some(cert) = inner.ledger.memory().cert(&slot_key.0, expires) {
            return Ok(Admitted::Issued(cert));
        }
        drop(inner);
        let mut inner = self.lock();
        let slot = Slot { onion: question.onion(), period, key: slot_key.0, expires };
        let asked = inner.asked(question, slot)?;
        inner.flights.insert(slot_key);
        Ok(Admitted::New(slot, asked))
    }

    /// As [`Books::land`], but nobody who waits is told.
    pub(in crate::gate) fn land_in_silence(
        &self,
        slot: &Slot,
        asked: u64,
        now: UnixTime,
        cert: Option<EncodedCert>,
    ) -> Result<(), Denial> {
        let mut inner = self.lock();
        let recorded = cert.map_or(Ok(0), |cert| inner.ledger.append(now, Event::Issued { asked, cert }));
        inner.flights.remove(&(slot.key, slot.expires));
        recorded.map(drop).map_err(|error| not_recorded(&error))
    }
}
