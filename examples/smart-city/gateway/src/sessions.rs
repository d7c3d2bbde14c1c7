//! Who has logged in with a browser: it shows a cookie then, instead of the token.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use smart_city_engine::config::{Secrets, TokenHash};
use tokio::sync::watch;

use crate::exchange::lock;

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
        let mut sessions = lock(&self.0);
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

    /// Ends those that began with a token which their operator has no more: they do not come back with it.
    pub async fn keep(self: Arc<Self>, mut secrets: watch::Receiver<Arc<Secrets>>) {
        while secrets.changed().await.is_ok() {
            let secrets = Arc::clone(&secrets.borrow_and_update());
            let is_right = |session: &Session| {
                let operator = secrets.operators.get(&session.operator);
                operator.is_some_and(|operator| operator.token == session.token)
            };
            lock(&self.0).retain(is_right);
        }
    }

    /// Ends a session of this operator; false if there is none.
    pub(crate) fn end(&self, id: &str, operator: &str, now: Instant) -> bool {
        let id = TokenHash::of(id.as_bytes());
        let mut sessions = self.valid(now);
        let before = sessions.len();
        sessions.retain(|session| session.id != id || session.operator != operator);
        sessions.len() < before
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
        assert!(!sessions.end("second", "mei", at(1)) && sessions.find("second", at(1)).is_some());
        assert!(sessions.end("second", "kana", at(1)) && !sessions.end("second", "kana", at(1)));
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
