//! Commands that are not about keys.

use std::sync::atomic::Ordering;

use super::Dispatch;
use crate::base::command::{Command, Refused, StatsTopic, Tuning};
use crate::base::lsn::Lsn;
use crate::base::reply::Denial;
use crate::base::time::Exptime;
use crate::config;
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::Busy;
use crate::proto::{self, Form, texts};

/// The least that `cache_memlimit` takes, megabytes: memcached's.
const MEMLIMIT_MIN_MB: u64 = 8;

impl Dispatch {
    /// Answers a command that is not about keys.
    pub(super) fn administer(
        &self,
        command: &Command<'_>,
        form: &Form<'_>,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if let Form::Binary(form) = form
            && !matches!(command, Command::FlushAll(_) | Command::Stats(_))
        {
            return self.administer_frame(command, form, ask, out);
        }
        let text = match command {
            Command::FlushAll(exptime) => return self.flush_all(*exptime, form, ask, out),
            Command::Dump(dump_form) => return self.dump(*dump_form, ask, out),
            Command::Backup => return self.back_up(ask, out),
            Command::Stats(StatsTopic::CacheDump(class, limit)) => {
                return self.cachedump(*class, *limit, ask, out);
            }
            Command::Stats(StatsTopic::Sizes) if self.settings.shown.sizes => {
                return self.sizes(form, ask, out);
            }
            Command::Stats(topic) => return self.show_stats(*topic, form, ask, out),
            Command::Version => texts::VERSION,
            Command::Noop => texts::MN,
            Command::Verbosity(level) => {
                log::set_max_level(config::log_level(*level));
                texts::OK
            }
            Command::CacheMemlimit(megabytes) => self.set_memlimit(*megabytes),
            Command::Shutdown(_) if self.settings.shutdown_enabled => {
                self.control.shut_down();
                return Verdict::Close;
            }
            Command::Shutdown(_) => texts::SHUTDOWN_OFF,
            Command::Quit => return Verdict::Close,
            Command::Authenticate(payload) => self.authenticate(payload, ask),
            Command::Tuning(Tuning::Answer(text)) => text,
            Command::Refused(refused, text) => {
                self.count_refused(*refused);
                text
            }
            Command::Tuning(Tuning::Crawler(on)) => {
                let was_on = self.crawler.is_enabled.swap(*on, Ordering::Relaxed);
                if *on && was_on { texts::CRAWLER_ON } else { texts::OK }
            }
            Command::Tuning(Tuning::Crawl) if self.crawler.is_enabled.load(Ordering::Relaxed) => texts::OK,
            Command::Tuning(Tuning::Crawl) => texts::CRAWLER_OFF,
            Command::Tuning(Tuning::RefreshCerts) => return self.refresh_certs(form, out),
            Command::Watch(words) => return self.watch(words, ask, out),
            Command::Own(own) => return self.own(own, ask, out),
            Command::Keyed(..) | Command::Read(..) | Command::SaslMechanisms | Command::Sasl(_) => {
                texts::ERROR
            }
        };
        proto::encode_text(form, text, out);
        out.seal(Lsn::ZERO);
        Verdict::Done
    }

    /// Flushes group after group; a group that is busy is tried again, the earlier ones are not.
    fn flush_all(
        &self,
        exptime: Option<Exptime>,
        form: &Form<'_>,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if let Some(verdict) = self.refuse_flush(form, out) {
            return verdict;
        }
        let mut last = Lsn::ZERO;
        for (index, group) in self.groups.iter().enumerate().skip(ask.resume) {
            match group.flush(exptime, ask.now) {
                Ok(Ok(lsn)) => last = last.max(lsn),
                Ok(Err(denial)) => return self.deny(denial, form, out),
                Err(Busy) => return Verdict::Parked { resume: index },
            }
        }
        self.flushes.fetch_add(1, Ordering::Relaxed);
        out.seal(last);
        if let Some(verdict) = self.flush_others(exptime, form, ask, out) {
            return verdict;
        }
        proto::encode_done(form, out);
        out.seal(last);
        Verdict::Done
    }

    fn count_refused(&self, refused: Refused) {
        let counter = match refused {
            Refused::Store => &self.broken_values,
            Refused::Flush => &self.flushes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn deny(&self, denial: Denial, form: &Form<'_>, out: &mut Outbox) -> Verdict {
        proto::encode_denial(form, denial, out);
        out.seal(Lsn::ZERO);
        Verdict::Done
    }

    fn show_stats(&self, topic: StatsTopic<'_>, form: &Form<'_>, ask: &Ask<'_>, out: &mut Outbox) -> Verdict {
        self.write_stats(topic, form, ask.now, ask.session.id, out);
        out.seal(Lsn::ZERO);
        Verdict::Done
    }

    fn refresh_certs(&self, form: &Form<'_>, out: &mut Outbox) -> Verdict {
        match self.control.refresh_certs() {
            None => proto::encode_text(form, texts::NO_TLS, out),
            Some(Ok(())) => proto::encode_text(form, texts::OK, out),
            Some(Err(why)) => proto::encode_text(form, format!("{why}\r\n").as_bytes(), out),
        }
        out.seal(Lsn::ZERO);
        Verdict::Done
    }

    fn set_memlimit(&self, megabytes: u64) -> &'static [u8] {
        if megabytes < MEMLIMIT_MIN_MB {
            return texts::MEMLIMIT_SMALL;
        }
        let Some(bytes) =
            usize::try_from(megabytes).ok().and_then(|megabytes| megabytes.checked_mul(1 << 20))
        else {
            return texts::MEMLIMIT_LARGE;
        };
        self.shared.set_memory_limit(bytes);
        texts::OK
    }

    fn authenticate(&self, payload: &[u8], ask: &mut Ask<'_>) -> &'static [u8] {
        self.auth_commands.fetch_add(1, Ordering::Relaxed);
        if self.users.as_ref().is_some_and(|users| users.accepts(payload)) {
            ask.session.authenticated = true;
            return texts::STORED;
        }
        self.auth_errors.fetch_add(1, Ordering::Relaxed);
        texts::AUTH_FAILURE
    }
}
