//! What one process knows of the token: its sessions, its login, the operation of each session. Plain data in and out.

use crate::Answer;
use crate::home::Home;
use crate::script::{Action, Script};
use crate::store::{self, Object, Slot, Token, Who};
use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID,
    CK_STATE, CK_ULONG, CK_USER_TYPE, CKA_CLASS, CKA_SIGN, CKA_TOKEN, CKA_VALUE, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKM_EDDSA, CKM_SHA256_HMAC, CKO_DATA, CKR_ATTRIBUTE_SENSITIVE,
    CKR_ATTRIBUTE_TYPE_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID,
    CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED, CKR_SESSION_COUNT, CKR_SESSION_EXISTS, CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED, CKR_SESSION_READ_ONLY, CKR_SESSION_READ_ONLY_EXISTS,
    CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT, CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_NOT_LOGGED_IN, CKR_USER_TYPE_INVALID, CKS_RO_PUBLIC_SESSION,
    CKS_RO_USER_FUNCTIONS, CKS_RW_PUBLIC_SESSION, CKS_RW_SO_FUNCTIONS, CKS_RW_USER_FUNCTIONS, CKU_SO,
    CKU_USER,
};
use std::collections::{BTreeMap, VecDeque};

mod keys;

/// Bits of an object's handle that number it within its slot.
const SLOT_SHIFT: u32 = 32;

/// One session.
struct Session {
    /// Its token.
    slot: CK_SLOT_ID,
    /// Whether it may change objects.
    writes: bool,
    /// A signature that was begun: by what, and with which key.
    signing: Option<(CK_MECHANISM_TYPE, CK_OBJECT_HANDLE)>,
    /// What a search that was begun has still to tell.
    found: Option<VecDeque<CK_OBJECT_HANDLE>>,
}

/// What one process knows.
pub(crate) struct Library {
    /// The process that initialised it; a child of it must do so again.
    pub(crate) process: u32,
    /// Where the token lives.
    pub(crate) home: Home,
    /// The faults of the call that is answered now.
    pub(crate) script: Script,
    /// Whether the token is not in its slot during the call that is answered now.
    pub(crate) removed: bool,
    /// The sessions.
    sessions: BTreeMap<CK_SESSION_HANDLE, Session>,
    /// Who is logged in to each token.
    logins: BTreeMap<CK_SLOT_ID, Who>,
    /// The handle of the next session.
    next: CK_SESSION_HANDLE,
}

impl Library {
    /// A library that was just initialised.
    pub(crate) fn new(home: Home) -> Self {
        Self {
            process: std::process::id(),
            home,
            script: Script::default(),
            removed: false,
            sessions: BTreeMap::new(),
            logins: BTreeMap::new(),
            next: 1,
        }
    }

    /// Forgets all sessions and logins, as when the device goes.
    pub(crate) fn forget(&mut self) {
        self.sessions.clear();
        self.logins.clear();
    }

    /// The slots, or only those with a token in them.
    pub(crate) fn slots(&self, with_token: bool) -> Answer<Vec<CK_SLOT_ID>> {
        if with_token && self.removed { Ok(Vec::new()) } else { store::slots(&self.home) }
    }

    /// The slot with this number.
    pub(crate) fn slot(&self, slot: CK_SLOT_ID) -> Answer<Slot> {
        Slot::new(&self.home, slot)
    }

    /// What the token in a slot knows about itself.
    pub(crate) fn token(&self, slot: CK_SLOT_ID) -> Answer<Token> {
        self.slot(slot)?.token()
    }

    /// How many sessions this process has with a token: all, and those that may write.
    pub(crate) fn session_counts(&self, slot: CK_SLOT_ID) -> (usize, usize) {
        let own = || self.sessions.values().filter(|session| session.slot == slot);
        (own().count(), own().filter(|session| session.writes).count())
    }

    /// `C_InitToken`.
    pub(crate) fn init_token(&mut self, slot: CK_SLOT_ID, officer: &[u8], label: &str) -> Answer<()> {
        if self.session_counts(slot).0 > 0 {
            return Err(CKR_SESSION_EXISTS);
        }
        self.slot(slot)?.initialise(label, officer)
    }

    /// `C_OpenSession`.
    pub(crate) fn open(&mut self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Answer<CK_SESSION_HANDLE> {
        self.slot(slot)?;
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED);
        }
        let limit =
            |action: &Action| if let Action::SessionLimit(most) = action { Some(*most) } else { None };
        if self.script.actions().filter_map(limit).any(|most| self.sessions.len() >= most) {
            return Err(CKR_SESSION_COUNT);
        }
        let handle = self.next;
        self.next += 1;
        let writes = flags & CKF_RW_SESSION != 0;
        self.sessions.insert(handle, Session { slot, writes, signing: None, found: None });
        Ok(handle)
    }

    /// `C_CloseSession`; the last one logs out.
    pub(crate) fn close(&mut self, handle: CK_SESSION_HANDLE) -> Answer<()> {
        let session = self.sessions.remove(&handle).ok_or(CKR_SESSION_HANDLE_INVALID)?;
        if self.session_counts(session.slot).0 == 0 {
            self.logins.remove(&session.slot);
        }
        Ok(())
    }

    /// `C_CloseAllSessions`.
    pub(crate) fn close_all(&mut self, slot: CK_SLOT_ID) -> Answer<()> {
        self.slot(slot)?;
        self.sessions.retain(|_handle, session| session.slot != slot);
        self.logins.remove(&slot);
        Ok(())
    }

    /// A session.
    fn session(&mut self, handle: CK_SESSION_HANDLE) -> Answer<&mut Session> {
        self.sessions.get_mut(&handle).ok_or(CKR_SESSION_HANDLE_INVALID)
    }

    /// A session's slot, whether it may write, and who is logged in.
    fn state(&mut self, handle: CK_SESSION_HANDLE) -> Answer<(CK_SLOT_ID, bool, Option<Who>)> {
        let session = self.session(handle)?;
        let (slot, writes) = (session.slot, session.writes);
        Ok((slot, writes, self.logins.get(&slot).copied()))
    }

    /// `C_GetSessionInfo`: slot, state and flags.
    pub(crate) fn session_info(
        &mut self,
        handle: CK_SESSION_HANDLE,
    ) -> Answer<(CK_SLOT_ID, CK_STATE, CK_FLAGS)> {
        let (slot, writes, login) = self.state(handle)?;
        let state = match (login, writes) {
            (None, false) => CKS_RO_PUBLIC_SESSION,
            (None, true) => CKS_RW_PUBLIC_SESSION,
            (Some(Who::User), false) => CKS_RO_USER_FUNCTIONS,
            (Some(Who::User), true) => CKS_RW_USER_FUNCTIONS,
            (Some(Who::Officer), _) => CKS_RW_SO_FUNCTIONS,
        };
        Ok((slot, state, CKF_SERIAL_SESSION | if writes { CKF_RW_SESSION } else { 0 }))
    }

    /// `C_Login`. Who is already logged in is told so, whatever the PIN.
    pub(crate) fn login(&mut self, handle: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> Answer<()> {
        let (slot, _writes, login) = self.state(handle)?;
        let who = match user {
            CKU_SO => Who::Officer,
            CKU_USER => Who::User,
            _ => return Err(CKR_USER_TYPE_INVALID),
        };
        match login {
            Some(now) if now == who => return Err(CKR_USER_ALREADY_LOGGED_IN),
            Some(_) => return Err(CKR_USER_ANOTHER_ALREADY_LOGGED_IN),
            None => {}
        }
        let reads = self.sessions.values().any(|session| session.slot == slot && !session.writes);
        if who == Who::Officer && reads {
            return Err(CKR_SESSION_READ_ONLY_EXISTS);
        }
        self.slot(slot)?.try_pin(who, pin)?;
        self.logins.insert(slot, who);
        Ok(())
    }

    /// `C_Logout`.
    pub(crate) fn logout(&mut self, handle: CK_SESSION_HANDLE) -> Answer<()> {
        let (slot, _writes, login) = self.state(handle)?;
        login.ok_or(CKR_USER_NOT_LOGGED_IN)?;
        self.logins.remove(&slot);
        for session in self.sessions.values_mut().filter(|session| session.slot == slot) {
            session.signing = None;
            session.found = None;
        }
        Ok(())
    }

    /// `C_InitPIN`.
    pub(crate) fn init_pin(&mut self, handle: CK_SESSION_HANDLE, pin: &[u8]) -> Answer<()> {
        match self.state(handle)? {
            (slot, true, Some(Who::Officer)) => self.slot(slot)?.set_pin(Who::User, pin),
            _ => Err(CKR_USER_NOT_LOGGED_IN),
        }
    }

    /// `C_SetPIN`: of whoever is logged in, or of the user.
    pub(crate) fn set_pin(&mut self, handle: CK_SESSION_HANDLE, old: &[u8], new: &[u8]) -> Answer<()> {
        let (slot, writes, login) = self.state(handle)?;
        if !writes {
            return Err(CKR_SESSION_READ_ONLY);
        }
        let (slot, who) = (self.slot(slot)?, login.unwrap_or(Who::User));
        slot.try_pin(who, old)?;
        slot.set_pin(who, new)
    }

    /// An object that a session may see, and its slot and number.
    fn object(&mut self, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Answer<Object> {
        let (slot, _writes, login) = self.state(session)?;
        let here = handle >> SLOT_SHIFT == slot;
        let object = self.slot(slot)?.object(number(handle)).filter(|_object| here);
        let seen = object.filter(|object| !object.is_private() || login == Some(Who::User));
        seen.ok_or(CKR_OBJECT_HANDLE_INVALID)
    }

    /// Stores an object that a session made.
    fn store(&mut self, session: CK_SESSION_HANDLE, object: &Object) -> Answer<CK_OBJECT_HANDLE> {
        let (slot, writes, login) = self.state(session)?;
        if !object.is(CKA_TOKEN) {
            // This token has no session objects.
            return Err(CKR_TEMPLATE_INCONSISTENT);
        }
        if !writes {
            return Err(CKR_SESSION_READ_ONLY);
        }
        if object.is_private() && login != Some(Who::User) {
            return Err(CKR_USER_NOT_LOGGED_IN);
        }
        Ok((slot << SLOT_SHIFT) | self.slot(slot)?.add(object)?)
    }

    /// `C_CreateObject`: data only; keys are made on the token.
    pub(crate) fn create(&mut self, session: CK_SESSION_HANDLE, object: &Object) -> Answer<CK_OBJECT_HANDLE> {
        match object.0.get(&CKA_CLASS).map(Vec::as_slice) {
            Some(class) if class == CKO_DATA.to_ne_bytes() => self.store(session, object),
            Some(_) => Err(CKR_TEMPLATE_INCONSISTENT),
            None => Err(CKR_TEMPLATE_INCOMPLETE),
        }
    }

    /// `C_DestroyObject`.
    pub(crate) fn destroy(&mut self, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Answer<()> {
        self.object(session, handle)?;
        match self.state(session)? {
            (_slot, false, _login) => Err(CKR_SESSION_READ_ONLY),
            (slot, true, _login) => self.slot(slot)?.delete(number(handle)),
        }
    }

    /// One attribute of an object as `C_GetAttributeValue` shows it; a lie of the script comes before the truth.
    pub(crate) fn attribute(
        &mut self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        wanted: CK_ATTRIBUTE_TYPE,
    ) -> Answer<Vec<u8>> {
        let object = self.object(session, handle)?;
        let lie = self.script.actions().find_map(|action| match action {
            Action::Lie(about, kind, value) if *kind == wanted && object.is_among(*about) => {
                Some(value.clone())
            }
            _ => None,
        });
        let real = object.0.get(&wanted).cloned();
        match lie {
            Some(Some(value)) => Ok(value),
            None if object.hides(wanted) => Err(CKR_ATTRIBUTE_SENSITIVE),
            Some(None) | None => real.ok_or(CKR_ATTRIBUTE_TYPE_INVALID),
        }
    }

    /// `C_FindObjectsInit`.
    pub(crate) fn find(&mut self, session: CK_SESSION_HANDLE, template: &Object) -> Answer<()> {
        let (slot, _writes, login) = self.state(session)?;
        if self.session(session)?.found.is_some() {
            return Err(CKR_OPERATION_ACTIVE);
        }
        let place = self.slot(slot)?;
        let mut found = VecDeque::new();
        for id in place.ids()? {
            let seen = place
                .object(id)
                .filter(|object| object.fits(template) && (!object.is_private() || login == Some(Who::User)));
            found.extend(seen.map(|_object| (slot << SLOT_SHIFT) | id));
        }
        self.session(session)?.found = Some(found);
        Ok(())
    }

    /// `C_FindObjects`.
    pub(crate) fn next_found(
        &mut self,
        session: CK_SESSION_HANDLE,
        most: usize,
    ) -> Answer<Vec<CK_OBJECT_HANDLE>> {
        let found = self.session(session)?.found.as_mut().ok_or(CKR_OPERATION_NOT_INITIALIZED)?;
        Ok(found.drain(..most.min(found.len())).collect())
    }

    /// `C_FindObjectsFinal`.
    pub(crate) fn end_find(&mut self, session: CK_SESSION_HANDLE) -> Answer<()> {
        self.session(session)?.found.take().map(drop).ok_or(CKR_OPERATION_NOT_INITIALIZED)
    }

    /// The mechanism of a signature that was begun.
    pub(crate) fn signing(&self, session: CK_SESSION_HANDLE) -> Option<CK_MECHANISM_TYPE> {
        self.sessions.get(&session)?.signing.map(|(mechanism, _key)| mechanism)
    }

    /// `C_SignInit`.
    pub(crate) fn begin_sign(
        &mut self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        key: CK_OBJECT_HANDLE,
    ) -> Answer<()> {
        if self.session(session)?.signing.is_some() {
            return Err(CKR_OPERATION_ACTIVE);
        }
        let object = self.object(session, key).map_err(|code| match code {
            CKR_OBJECT_HANDLE_INVALID => CKR_KEY_HANDLE_INVALID,
            other => other,
        })?;
        if !matches!(mechanism, CKM_SHA256_HMAC | CKM_EDDSA) {
            return Err(CKR_MECHANISM_INVALID);
        }
        if !keys::fits(&object, mechanism) {
            return Err(CKR_KEY_TYPE_INCONSISTENT);
        }
        if !object.is(CKA_SIGN) {
            return Err(CKR_KEY_FUNCTION_NOT_PERMITTED);
        }
        self.session(session)?.signing = Some((mechanism, key));
        Ok(())
    }

    /// How long a signature that was begun will be.
    pub(crate) fn signature_len(&mut self, session: CK_SESSION_HANDLE) -> Answer<usize> {
        let (mechanism, _key) = self.session(session)?.signing.ok_or(CKR_OPERATION_NOT_INITIALIZED)?;
        Ok(keys::signature_len(mechanism))
    }

    /// `C_Sign` with room for the signature: ends the operation.
    pub(crate) fn sign(&mut self, session: CK_SESSION_HANDLE, data: &[u8]) -> Answer<Vec<u8>> {
        let signing = self.session(session)?.signing.take();
        let (mechanism, key) = signing.ok_or(CKR_OPERATION_NOT_INITIALIZED)?;
        let object = self.object(session, key)?;
        let secret = object.0.get(&CKA_VALUE).ok_or(CKR_KEY_HANDLE_INVALID)?;
        keys::sign(mechanism, secret, data)
    }

    /// `C_GenerateKey`.
    pub(crate) fn generate(
        &mut self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        template: Object,
    ) -> Answer<CK_OBJECT_HANDLE> {
        let key = keys::secret(mechanism, template)?;
        self.store(session, &key)
    }

    /// `C_GenerateKeyPair`: the public and the private key.
    pub(crate) fn generate_pair(
        &mut self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        public: Object,
        private: Object,
    ) -> Answer<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let (public, private) = keys::pair(mechanism, public, private)?;
        Ok((self.store(session, &public)?, self.store(session, &private)?))
    }
}

/// The number of an object within its slot.
const fn number(handle: CK_OBJECT_HANDLE) -> CK_ULONG {
    handle & ((1 << SLOT_SHIFT) - 1)
}
