//! The address of a database: a `postgres://` URL as libpq reads it, several hosts and TLS included.

pub(super) mod host;
pub(super) mod options;
mod parameters;
pub(super) mod password;
pub(super) mod sslmode;

use super::Error;
use host::Host;
use options::Setting;
use parameters::{Parameters, decoded, invalid};
use password::{Login, Missing, Password};

/// What a URL may say that is the engine's to say: it is passed over.
const OURS: [&str; 8] = [
    "application_name",
    "connect_timeout",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
];

/// Where a database is, and how to get there.
pub(crate) struct Target {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Result<Password, Missing>,
    pub(crate) database: String,
    pub(crate) tls: sslmode::Settings,
    /// Only a server that takes writes will do.
    pub(crate) writable: bool,
    /// Settings for the session, after those of `PGOPTIONS`.
    pub(super) options: Vec<Setting>,
}

impl std::fmt::Display for Target {
    /// For people; without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (database, servers, user) = (&self.database, self.servers(), &self.user);
        write!(f, "{database} on {servers}, as {user}")
    }
}

impl std::fmt::Debug for Target {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Returns the names of its servers.
    pub(crate) fn servers(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        hosts.join(", ")
    }

    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let written = Written::parse(url)?;
        let mut parameters = Parameters::parse(written.query)?;
        let user = written.user(&mut parameters)?;
        let database = written.database(&user, &mut parameters)?;
        let hosts = host::parse(written.hosts, &mut parameters)?;
        let login = Login {
            hosts: &hosts,
            database: &database,
            user: &user,
        };
        let given = parameters.take("password").or(written.password);
        let target = Self {
            password: password::find(given, parameters.take("passfile"), &login),
            writable: writable_of(&mut parameters)?.unwrap_or(hosts.len() > 1),
            tls: sslmode::Settings::take(&mut parameters)?,
            options: options::parse(&parameters.take("options").unwrap_or_default())?,
            user,
            database,
            hosts,
        };
        for name in OURS {
            parameters.take(name);
        }
        refuse_binding(&mut parameters)?;
        parameters.end()?;
        Ok(target)
    }
}

/// A URL in its parts.
struct Written<'a> {
    user: &'a str,
    password: Option<String>,
    hosts: &'a str,
    database: &'a str,
    query: &'a str,
}

impl<'a> Written<'a> {
    fn parse(url: &'a str) -> Result<Self, Error> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        let Some(rest) = rest else {
            return invalid("it does not begin with postgres://");
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match account.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (account, None),
        };
        Ok(Self {
            user,
            password,
            hosts,
            database,
            query,
        })
    }

    fn user(&self, parameters: &mut Parameters) -> Result<String, Error> {
        let user = match parameters.take("user") {
            Some(user) => user,
            None if self.user.is_empty() => std::env::var("USER").unwrap_or_default(),
            None => decoded(self.user)?,
        };
        if user.is_empty() {
            return invalid("it names no user");
        }
        Ok(user)
    }

    /// Returns the database, which has the user's name unless told.
    fn database(&self, user: &str, parameters: &mut Parameters) -> Result<String, Error> {
        match parameters.take("dbname") {
            Some(database) => Ok(database),
            None if self.database.is_empty() => Ok(user.to_owned()),
            None => decoded(self.database),
        }
    }
}

/// The engine writes, so it has no use for a standby.
fn writable_of(parameters: &mut Parameters) -> Result<Option<bool>, Error> {
    let attributes = parameters.take("target_session_attrs");
    match attributes.as_deref() {
        None | Some("any") => Ok(None),
        Some("read-write" | "primary") => Ok(Some(true)),
        Some(other) => invalid(format!(
            "target_session_attrs={other} asks for a server that takes no writes; it is any, read-write or primary here"
        )),
    }
}

fn refuse_binding(parameters: &mut Parameters) -> Result<(), Error> {
    match parameters.take("channel_binding").as_deref() {
        None | Some("prefer" | "disable") => Ok(()),
        Some(other) => invalid(format!(
            "channel_binding={other} can't be kept; leave it out, and let sslmode=verify-full prove who the server is"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn tcp(name: &str, port: u16) -> Host {
        Host::Tcp {
            name: name.to_owned(),
            port,
        }
    }

    fn problem(url: &str) -> String {
        Target::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn what_people_read_of_it_has_no_password() {
        for (url, read) in [
            (
                "postgres://ann:secret@a,b:7/work?sslmode=disable",
                "work on a:5432, b:7, as ann",
            ),
            (
                "postgres://ann@/?host=/run/pg&password=secret",
                "ann on /run/pg/.s.PGSQL.5432, as ann",
            ),
        ] {
            assert_eq!(Target::parse(url).unwrap().to_string(), read);
        }
    }

    #[test]
    fn a_url_of_one_host_is_what_it_says() {
        let target = Target::parse("postgres://ann:s%40cret@db.example:6543/work").unwrap();
        assert_eq!(target.hosts, [tcp("db.example", 6543)]);
        assert_eq!(
            (target.user.as_str(), target.database.as_str()),
            ("ann", "work")
        );
        assert_eq!(target.password.unwrap().text, "s@cret");
        assert_eq!(target.tls.mode, sslmode::Mode::Prefer);
        assert!(!target.writable);
        let target = Target::parse("postgresql://ann@[::1]?sslmode=disable").unwrap();
        assert_eq!(target.hosts, [tcp("::1", 5432)]);
        assert_eq!(target.database, "ann");
    }

    #[test]
    fn several_hosts_have_their_own_ports_and_one_of_them_is_to_take_writes() {
        let target = Target::parse("postgres://a@x:1,y,[::2]:3/d").unwrap();
        assert_eq!(target.hosts, [tcp("x", 1), tcp("y", 5432), tcp("::2", 3)]);
        assert!(target.writable);
        let target = Target::parse("postgres:///d?user=a&host=/run/pg,y&port=7").unwrap();
        let folder = PathBuf::from("/run/pg");
        assert_eq!(target.hosts, [Host::Unix { folder, port: 7 }, tcp("y", 7)]);
    }

    #[test]
    fn settings_for_the_session_are_read() {
        let options = r"-c search_path=work  --work_mem=4MB -cx.y=a\ b\\c";
        let options = options.replace(' ', "%20").replace('=', "%3D");
        let target = Target::parse(&format!("postgres://a@x/d?options={options}")).unwrap();
        let settings = [
            ("search_path", "work"),
            ("work_mem", "4MB"),
            ("x.y", r"a b\c"),
        ];
        let settings = settings.map(|(name, value)| Setting {
            name: name.to_owned(),
            value: value.to_owned(),
        });
        assert_eq!(target.options, settings);
        let told = options::at_startup(&target.options);
        let own = r"-c search_path=work -c work_mem=4MB -c x.y=a\ b\\c";
        assert!(told.ends_with(own), "{told}");
    }

    #[test]
    fn what_can_not_be_meant_is_said() {
        for (url, tells) in [
            ("mysql://a@x/d", "does not begin with postgres://"),
            ("postgres://a@x:y/d", "is no port"),
            ("postgres://a:100%@x/d", "%25"),
            ("postgres://a@x/d?sslmode=allow", "is none of disable"),
            (
                "postgres://a@x/d?ssl_mode=require",
                "no parameter \"ssl_mode\"",
            ),
            (
                "postgres://a@x/d?target_session_attrs=standby",
                "takes no writes",
            ),
            (
                "postgres://a@x/d?sslmode=verify-ca&sslrootcert=system",
                "verify-full only",
            ),
        ] {
            assert!(problem(url).contains(tells), "{url}: {}", problem(url));
        }
    }
}
