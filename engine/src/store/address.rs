//! The address of a database: a `postgres://` URL as libpq reads it, several hosts and TLS included.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Error,
    host::Host,
    password::{self, Login, Missing, Password},
    tls,
};

/// Where a database is, and how to get there.
pub(crate) struct Target {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Result<Password, Missing>,
    pub(crate) database: String,
    pub(crate) tls: tls::Settings,
    /// Only a server that takes writes will do.
    pub(crate) writable: bool,
    /// Settings for the session, after those of `PGOPTIONS`: names and values.
    pub(crate) options: Vec<(String, String)>,
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

/// What is set after the question mark of a URL, and looked at once.
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }
}

fn invalid<T>(problem: impl Into<String>) -> Result<T, Error> {
    Err(Error::Address(problem.into()))
}

impl Target {
    /// Returns the names of its servers.
    pub(crate) fn servers(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        hosts.join(", ")
    }

    /// Returns the settings for the session as a server takes them: those of `PGOPTIONS`, then its own, which count.
    pub(crate) fn startup_options(&self) -> String {
        let mut options = std::env::var("PGOPTIONS").unwrap_or_default();
        for (name, value) in &self.options {
            options.push_str(if options.is_empty() { "-c " } else { " -c " });
            for letter in name.chars().chain(['=']).chain(value.chars()) {
                if letter == '\\' || letter.is_whitespace() {
                    options.push('\\');
                }
                options.push(letter);
            }
        }
        options
    }

    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        let Some(rest) = rest else {
            return invalid("it does not begin with postgres://");
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, hosts) = match authority.rsplit_once('@') {
            Some((account, hosts)) => (account, hosts),
            None => ("", authority),
        };
        let (user, password) = match account.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (account, None),
        };
        let mut parameters = Parameters(BTreeMap::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return invalid(format!("{pair:?} after the question mark has no value"));
            };
            parameters.0.insert(decoded(name)?, decoded(value)?);
        }
        let user = match parameters.take("user") {
            Some(user) => user,
            None if user.is_empty() => std::env::var("USER").unwrap_or_default(),
            None => decoded(user)?,
        };
        if user.is_empty() {
            return invalid("it names no user");
        }
        let database = match parameters.take("dbname") {
            Some(database) => database,
            None if database.is_empty() => user.clone(),
            None => decoded(database)?,
        };
        let hosts = hosts_of(hosts, &mut parameters)?;
        let writable = hosts.len() > 1;
        let login = Login {
            hosts: &hosts,
            database: &database,
            user: &user,
        };
        let given = parameters.take("password").or(password);
        let target = Self {
            password: password::find(given, parameters.take("passfile"), &login),
            writable: writable_of(&mut parameters)?.unwrap_or(writable),
            tls: tls_of(&mut parameters)?,
            options: options_of(&parameters.take("options").unwrap_or_default())?,
            user,
            database,
            hosts,
        };
        // They are ours to say.
        for name in [
            "application_name",
            "connect_timeout",
            "fallback_application_name",
            "keepalives",
            "keepalives_count",
            "keepalives_idle",
            "keepalives_interval",
            "tcp_user_timeout",
        ] {
            parameters.take(name);
        }
        match parameters.take("channel_binding").as_deref() {
            None | Some("prefer" | "disable") => {}
            Some(other) => {
                return invalid(format!(
                    "channel_binding={other} can't be kept; leave it out, and let sslmode=verify-full prove who the server is"
                ));
            }
        }
        match parameters.0.into_keys().next() {
            Some(name) => invalid(format!("there is no parameter {name:?}")),
            None => Ok(target),
        }
    }
}

/// Reads `a:1,b` and the parameters `host` and `port`, which stand for more of the same.
fn hosts_of(authority: &str, parameters: &mut Parameters) -> Result<Vec<Host>, Error> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in authority.split(',').filter(|host| !host.is_empty()) {
        // The colons of an IPv6 address stand in brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (host, ""),
        };
        names.push(decoded(name.trim_start_matches('[').trim_end_matches(']'))?);
        ports.push(port.to_owned());
    }
    if let Some(named) = parameters.take("host") {
        names = named.split(',').map(str::to_owned).collect();
        ports.clear();
    }
    if let Some(named) = parameters.take("port") {
        ports = named.split(',').map(str::to_owned).collect();
    }
    if names.is_empty() {
        names.push("localhost".to_owned());
    }
    // One port is everybody's.
    let port_of = |n: usize| ports.get(if ports.len() == 1 { 0 } else { n });
    let host = |(n, name): (usize, String)| {
        let port = port_of(n).map_or("", String::as_str);
        let port = match port.parse() {
            Ok(port) => port,
            Err(_) if port.is_empty() => 5432,
            Err(_) => return invalid(format!("{port:?} is no port")),
        };
        Ok(if name.starts_with('/') {
            let folder = PathBuf::from(name);
            Host::Unix { folder, port }
        } else {
            Host::Tcp { name, port }
        })
    };
    names.into_iter().enumerate().map(host).collect()
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

fn tls_of(parameters: &mut Parameters) -> Result<tls::Settings, Error> {
    let mode = match parameters.take("sslmode").as_deref() {
        Some("disable") => tls::Mode::Disable,
        None | Some("prefer") => tls::Mode::Prefer,
        Some("require") => tls::Mode::Require,
        Some("verify-ca") => tls::Mode::VerifyCa,
        Some("verify-full") => tls::Mode::VerifyFull,
        Some(other) => {
            return invalid(format!(
                "sslmode={other} is none of disable, prefer, require, verify-ca, verify-full"
            ));
        }
    };
    let mut file = |name, otherwise| {
        let named = parameters.take(name).map(PathBuf::from);
        named.or_else(|| usual(otherwise))
    };
    let settings = tls::Settings {
        mode,
        root: file("sslrootcert", "root.crt"),
        certificate: file("sslcert", "postgresql.crt"),
        key: file("sslkey", "postgresql.key"),
    };
    if settings.root.as_deref() == Some(Path::new("system")) && mode != tls::Mode::VerifyFull {
        return invalid(
            "sslrootcert=system trusts everybody's authorities, so it goes with sslmode=verify-full only",
        );
    }
    if settings.root.is_none() && matches!(mode, tls::Mode::VerifyCa | tls::Mode::VerifyFull) {
        return invalid(
            "sslmode asks to verify the server, and no file says by what: add sslrootcert=FILE, or sslrootcert=system with verify-full",
        );
    }
    Ok(settings)
}

/// Returns the file where libpq looks when none is named, if it is there.
fn usual(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    let file = Path::new(&home).join(".postgresql").join(name);
    file.exists().then_some(file)
}

/// Reads `-c name=value -c name=value`.
fn options_of(text: &str) -> Result<Vec<(String, String)>, Error> {
    let words = words_of(text);
    let words = words.iter().filter(|word| *word != "-c");
    let setting = |word: &String| {
        let word = word
            .strip_prefix("-c")
            .or(word.strip_prefix("--"))
            .unwrap_or(word);
        match word.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => invalid(format!("options: {word:?} is not -c name=value")),
        }
    };
    words.map(setting).collect()
}

/// Cuts a text at its spaces; a backslash stands for what follows it.
fn words_of(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '\\' => letters.next().unwrap_or('\\'),
            space if space.is_whitespace() => {
                words.extend(word.take());
                continue;
            }
            letter => letter,
        };
        word.get_or_insert_default().push(letter);
    }
    words.extend(word);
    words
}

/// Reads what is written as `%41`.
fn decoded(text: &str) -> Result<String, Error> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return invalid("a % is not followed by two digits; write a % of your own as %25");
        };
        decoded.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(decoded).or_else(|_| invalid("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(target.tls.mode, tls::Mode::Prefer);
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
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(target.options, settings);
        let told = target.startup_options();
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
