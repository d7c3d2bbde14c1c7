//! Who has logged in with a browser: it shows a cookie then, instead of the token.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use smart_city_engine::config::TokenHash;

/// How long a session lasts.
pub(crate) const LIFE: Duration = Duration::from_secs(12 * 3600);

/// Sessions of one operator; then the oldest ends.
const MOST: usize = 16;

/// The time between two logins of one operator: each makes a record in the audit log.
const PAUSE: Duration = Duration::from_secs(1);

/// The sessions there are.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Vec<Session>>);

#[derive(Debug)]
struct Session {
    /// Of the cookie.
    id: TokenHash,
    operator: String,
    /// With which token it began.
    token: TokenHash,
    begin: Instant,
}

impl Sessions {
    fn valid(&self, now: Instant) -> MutexGuard<'_, Vec<Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| now.saturating_duration_since(session.begin) < LIFE);
        sessions
    }

    /// Begins a session with this id; false if the operator has begun another one just now.
    pub(crate) fn begin(&self, id: &str, operator: &str, token: TokenHash, now: Instant) -> bool {
        let mut sessions = self.valid(now);
        let own = || sessions.iter().enumerate().filter(|(_, session)| session.operator == operator);
        if own().any(|(_, session)| now.saturating_duration_since(session.begin) < PAUSE) {
            return false;
        }
        if let Some((oldest, _)) = own().next().filter(|_| own().count() >= MOST) {
            sessions.remove(oldest);
        }
        let id = TokenHash::of(id.as_bytes());
        sessions.push(Session { id, operator: operator.to_owned(), token, begin: now });
        true
    }

    /// Whose session this is, and with which token it began.
    pub(crate) fn find(&self, id: &str, now: Instant) -> Option<(String, TokenHash)> {
        let id = TokenHash::of(id.as_bytes());
        let sessions = self.valid(now);
        let session = sessions.iter().find(|session| session.id == id)?;
        Some((session.operator.clone(), session.token))
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &str, now: Instant) {
        let id = TokenHash::of(id.as_bytes());
        self.valid(now).retain(|session| session.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_begin_and_end() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let token = TokenHash::of(b"a token");
        assert!(sessions.begin("first", "kana", token, at(0)));
        assert!(!sessions.begin("too soon", "kana", token, start + PAUSE - Duration::from_millis(1)));
        assert!(
            sessions.begin("other", "mei", token, at(0)) && sessions.begin("second", "kana", token, at(1))
        );
        assert_eq!(sessions.find("first", at(1)), Some(("kana".to_owned(), token)));
        assert_eq!(sessions.find("other", at(1)), Some(("mei".to_owned(), token)));
        for id in ["", "too soon", "third"] {
            assert_eq!(sessions.find(id, at(1)), None);
        }
        sessions.end("second", at(1));
        assert_eq!(sessions.find("second", at(1)), None);
        let life = LIFE.as_secs();
        assert!(sessions.find("first", at(life - 1)).is_some() && sessions.find("first", at(life)).is_none());
    }

    #[test]
    fn of_too_many_the_oldest_ends() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let token = TokenHash::of(b"a token");
        assert!(sessions.begin("other", "mei", token, start));
        for (i, second) in (0..=16).zip(1..) {
            assert!(sessions.begin(&i.to_string(), "kana", token, start + Duration::from_secs(second)));
        }
        let found = |id: &str| sessions.find(id, start + Duration::from_secs(60)).is_some();
        assert!(!found("0") && (1..=16).all(|i| found(&i.to_string())) && found("other"));
    }
}
