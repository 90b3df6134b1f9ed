//! What a Postgres that does not start complains of, and what to do about it.

use std::path::Path;

use super::Error;

/// The end of a server's log, without what every start says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint(String);

/// What in a log passes by itself, or tells of the kind of trouble; the first that is found counts.
const SIGNS: [(&str, Cause); 15] = [
    ("postgresql.auto.conf", Cause::OwnSettings),
    ("Permission denied", Cause::Rights),
    ("has wrong ownership", Cause::Rights),
    ("Address already in use", Cause::Port),
    ("lock file \"postmaster.pid\"", Cause::Another),
    ("pre-existing shared memory block", Cause::Another),
    ("No space left", Cause::Room),
    ("Disk quota exceeded", Cause::Room),
    ("Read-only file system", Cause::ReadOnly),
    ("Cannot allocate memory", Cause::Memory),
    ("shared memory segment", Cause::Memory),
    ("initialized by PostgreSQL", Cause::Version),
    ("incompatible with server", Cause::Version),
    ("does not recognize locale", Cause::Version),
    ("could not load library", Cause::Binaries),
];

/// Why a Postgres does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    OwnSettings,
    Rights,
    Port,
    Another,
    Room,
    ReadOnly,
    Memory,
    Version,
    Binaries,
    /// None of the others: its files.
    Damage,
}

impl Complaint {
    /// Reads the log of a start.
    pub(super) fn of(log: &str) -> Self {
        let lines: Vec<&str> = log.lines().map(without_time).collect();
        let complains = |line: &&&str| {
            let routine = line.starts_with("LOG:") && !line.contains("could not");
            !routine && !line.trim().is_empty()
        };
        let kept: Vec<&str> = lines.iter().filter(complains).copied().collect();
        let kept = if kept.is_empty() { lines } else { kept };
        Self(kept.join("\n"))
    }

    /// Whether it passes by itself, or with another port where we choose it.
    pub(super) fn is_passing(&self, port_is_ours: bool) -> bool {
        match self.cause() {
            Cause::Another => true,
            Cause::Port => port_is_ours,
            _ => false,
        }
    }

    fn cause(&self) -> Cause {
        let found = SIGNS.iter().find(|(sign, _)| self.0.contains(sign));
        found.map_or(Cause::Damage, |(_, cause)| *cause)
    }

    /// Returns the error, with advice for the cluster at `pgdata`, which `user` runs.
    pub(super) fn error(self, pgdata: &Path, user: &str) -> Error {
        let at = pgdata.display();
        let advice = match self.cause() {
            Cause::OwnSettings => {
                format!("correct or remove {at}/postgresql.auto.conf, which holds what ALTER SYSTEM has set")
            }
            Cause::Rights => format!(
                "Postgres runs as user `{user}`, who must own its files: `chown -R {user} '{at}'`"
            ),
            Cause::Port => "end what listens there, or name another port".to_owned(),
            Cause::Another => {
                "another Postgres uses the same files: stop it, with `coreason stop` if it is of coreason".to_owned()
            }
            Cause::Room => "make room on its disk".to_owned(),
            Cause::ReadOnly => "make its disk writable again".to_owned(),
            Cause::Memory => "the machine has not enough memory for it".to_owned(),
            Cause::Version => {
                "its files are of another version or build of Postgres: name that one with --postgres".to_owned()
            }
            Cause::Binaries => "its program is not whole: install Postgres again, or name another one with --postgres".to_owned(),
            Cause::Damage => {
                let folder = pgdata.parent().unwrap_or(pgdata).display();
                format!("if files of it are lost or damaged, put {folder} back from a backup, or move it away to begin with an empty one")
            }
        };
        Error::Start {
            log: self.0,
            advice,
        }
    }
}

/// Cuts off what stands before the level: time and process id.
fn without_time(line: &str) -> &str {
    let levels = [
        "LOG:", "FATAL:", "PANIC:", "ERROR:", "WARNING:", "HINT:", "DETAIL:",
    ];
    let start = levels.iter().filter_map(|level| line.find(level)).min();
    start.map_or(line, |start| &line[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-28 18:07:43.577 UTC [20418] LOG:  starting PostgreSQL 18.4\n\
        2026-11-28 18:07:43.577 UTC [20418] LOG:  listening on IPv4 address \"127.0.0.1\", port 15432\n\
        2026-11-28 18:07:43.600 UTC [20418] FATAL:  could not load /data/pgdata/pg_hba.conf\n\
        2026-11-28 18:07:43.601 UTC [20418] LOG:  database system is shut down\n";

    #[test]
    fn complaint_is_what_is_not_routine() {
        let complaint = Complaint::of(LOG);

        assert_eq!(
            complaint.0,
            "FATAL:  could not load /data/pgdata/pg_hba.conf"
        );
        assert!(!complaint.is_passing(true));
        assert_eq!(Complaint::of("LOG:  bye\n").0, "LOG:  bye");
    }

    #[test]
    fn each_cause_has_its_advice() {
        for (log, advice) in [
            (
                "FATAL:  configuration file \"postgresql.auto.conf\" contains errors",
                "remove /d/pgdata/postgresql.auto.conf",
            ),
            (
                "LOG:  could not create file \"x\": Permission denied",
                "`chown -R pg '/d/pgdata'`",
            ),
            (
                "FATAL:  could not write: No space left on device",
                "make room",
            ),
            (
                "PANIC:  could not read file \"global/pg_control\": read 0 of 296",
                "put /d back from a backup",
            ),
        ] {
            let error = Complaint::of(log).error(Path::new("/d/pgdata"), "pg");

            assert_eq!(error.code(), "POSTGRES_START_FAILED");
            assert!(
                error.to_string().contains(log) && error.to_string().contains(advice),
                "{error}"
            );
        }
    }

    #[test]
    fn taken_port_passes_only_where_we_choose_it() {
        let log = "LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use";

        assert!(Complaint::of(log).is_passing(true));
        assert!(!Complaint::of(log).is_passing(false));
    }
}
