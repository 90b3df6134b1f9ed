//! The password of a login, looked for where libpq looks: the address, `PGPASSWORD`, and a password file. It is looked for once, and counts
//! for every session.

use std::{env, fmt, fs, io, os::unix::fs::PermissionsExt as _, path::Path, path::PathBuf};

use super::host::Host;

/// Where sockets are unless told: to a password file such a folder is `localhost`.
const USUAL_SOCKETS: [&str; 3] = ["/tmp", "/run/postgresql", "/var/run/postgresql"];

/// A password, and where it was found.
#[derive(PartialEq, Eq)]
pub(crate) struct Password {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl fmt::Debug for Password {
    /// Without it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "that of {}", self.origin)
    }
}

/// Where a password was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Address,
    Environment,
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the address"),
            Self::Environment => f.write_str("PGPASSWORD"),
            Self::File(file) => write!(f, "the file {}", file.display()),
        }
    }
}

/// Why there is no password. Not every server asks for one, so it is told when one does.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    #[error(
        "none is in the address, in PGPASSWORD, or for this server, database and user in a password file (passfile in the address, \
         PGPASSFILE, or ~/.pgpass)"
    )]
    Nowhere,
    #[error("the password file {file} is not read, because {problem}", file = .0.display(), problem = .1)]
    NotRead(PathBuf, String),
    #[error(
        "the password file {} has different ones for the servers of the address, and they are to be servers of one database: give them one \
         password, in its last lines or in PGPASSWORD", .0.display()
    )]
    Different(PathBuf),
}

/// Whom a password file is asked for.
pub(crate) struct Login<'a> {
    pub(crate) hosts: &'a [Host],
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

/// Finds the password of a login: what the address `given` says of itself, else the environment, else the file that the address names,
/// else `PGPASSFILE`, else `~/.pgpass`. An empty one is none.
pub(crate) fn find(
    given: Option<String>,
    passfile: Option<String>,
    login: &Login<'_>,
) -> Result<Password, Missing> {
    let variable = |name: &str| env::var(name).ok();
    let is_said = |text: &String| !text.is_empty();
    if let Some(text) = given.filter(is_said) {
        let origin = Origin::Address;
        return Ok(Password { text, origin });
    }
    if let Some(text) = variable("PGPASSWORD").filter(is_said) {
        let origin = Origin::Environment;
        return Ok(Password { text, origin });
    }
    let named = passfile.filter(is_said);
    let named = named.or_else(|| variable("PGPASSFILE").filter(is_said));
    let file = named.map(PathBuf::from).or_else(usual);
    in_file(file.ok_or(Missing::Nowhere)?, login)
}

/// Returns the file where libpq looks when none is named, if it is there.
fn usual() -> Option<PathBuf> {
    let file = Path::new(&env::var_os("HOME")?).join(".pgpass");
    file.exists().then_some(file)
}

/// Finds the password of a login in a file.
fn in_file(file: PathBuf, login: &Login<'_>) -> Result<Password, Missing> {
    let lines = match read(&file) {
        Ok(lines) => lines,
        Err(error) => return Err(Missing::NotRead(file, error.to_string())),
    };
    let mut found = login
        .hosts
        .iter()
        .filter_map(|host| in_lines(&lines, host, login));
    let text = found.next().ok_or(Missing::Nowhere)?;
    if found.any(|other| other != text) {
        return Err(Missing::Different(file));
    }
    let origin = Origin::File(file);
    Ok(Password { text, origin })
}

/// Reads a password file; one that others may use holds no secret.
fn read(file: &Path) -> io::Result<String> {
    let about = fs::metadata(file)?;
    if !about.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if about.permissions().mode() & 0o077 != 0 {
        let problem = "others than its owner may use it: chmod 600 it";
        return Err(io::Error::other(problem));
    }
    // A line in another encoding is of somebody else's login.
    Ok(String::from_utf8_lossy(&fs::read(file)?).into_owned())
}

/// Returns the password of the first line that is meant for a login: `HOST:PORT:DATABASE:USER:PASSWORD`, `*` for any.
fn in_lines(lines: &str, host: &Host, login: &Login<'_>) -> Option<String> {
    let (name, port) = match host {
        Host::Tcp { name, port } => (name.as_str(), port),
        Host::Unix { folder, port } => (folder.to_str()?, port),
    };
    let name = if USUAL_SOCKETS.contains(&name) {
        "localhost"
    } else {
        name
    };
    let port = port.to_string();
    let meant = |line: &str| {
        let mut rest = line.strip_suffix('\r').unwrap_or(line);
        for value in [name, &port, login.database, login.user] {
            let field;
            (field, rest) = field_of(rest)?;
            // An escaped asterisk is one of a name.
            if field != "*" && unescaped(field) != value {
                return None;
            }
        }
        let (password, _) = field_of(rest).unwrap_or((rest, ""));
        Some(unescaped(password)).filter(|password| !password.is_empty())
    };
    lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(meant)
}

/// Cuts a line behind its first field, at a colon that no backslash stands before.
fn field_of(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = line.find(|letter| {
        let ends = letter == ':' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    Some((&line[..end], &line[end + 1..]))
}

/// Returns a field without the backslashes that stand for what follows them.
fn unescaped(field: &str) -> String {
    let mut letters = field.chars();
    let mut plain = String::with_capacity(field.len());
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => letters.next().unwrap_or('\\'),
            letter => letter,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        if name.starts_with('/') {
            let folder = name.into();
            return Host::Unix { folder, port };
        }
        let name = name.to_owned();
        Host::Tcp { name, port }
    }

    fn login(hosts: &[Host]) -> Login<'_> {
        Login {
            hosts,
            database: "work",
            user: "ann",
        }
    }

    /// What a file has for ann in database work on one server.
    fn has(lines: &str, name: &str) -> Option<String> {
        let hosts = [host(name, 5432)];
        in_lines(lines, &hosts[0], &login(&hosts))
    }

    /// A file of a test's own, with this mode.
    fn file(name: &str, lines: &str, mode: u32) -> PathBuf {
        let file = format!("coreason-pgpass-{name}-{}", std::process::id());
        let file = env::temp_dir().join(file);
        fs::write(&file, lines).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_first_line_that_is_meant_has_the_password() {
        for (lines, password) in [
            ("db:5432:work:ann:secret", Some("secret")),
            ("*:*:*:*:any", Some("any")),
            (
                "# db:5432:work:ann:old\n\nother:*:*:*:no\ndb:*:work:*:yes\n*:*:*:*:late",
                Some("yes"),
            ),
            ("db:5432:work:ann:windows\r\n", Some("windows")),
            (r"db:5432:work:ann:a\:b\\c", Some(r"a:b\c")),
            ("db:5432:work:ann:up to:a comment", Some("up to")),
            (r"db:5432:work:an\n:secret", Some("secret")),
            ("db:5433:work:ann:secret", None),
            ("db:5432:Work:ann:secret", None),
            ("db:5432:work:anna:secret", None),
            (r"\*:5432:work:ann:secret", None),
            ("db:5432:work:ann", None),
            ("db:5432:work:ann:", None),
            (" db:5432:work:ann:secret", None),
            ("", None),
        ] {
            assert_eq!(has(lines, "db").as_deref(), password, "{lines:?}");
        }
    }

    #[test]
    fn sockets_and_addresses_have_lines_too() {
        let local = "localhost:*:*:*:local";
        for (lines, name, password) in [
            (local, "/var/run/postgresql", Some("local")),
            (local, "/run/elsewhere", None),
            (
                "/run/elsewhere:*:*:*:there",
                "/run/elsewhere",
                Some("there"),
            ),
            (r"\:\:1:*:*:*:six", "::1", Some("six")),
        ] {
            assert_eq!(has(lines, name).as_deref(), password, "{name}");
        }
    }

    #[test]
    fn what_was_given_is_not_looked_for() {
        let given = Some("given".to_owned());
        let found = find(given, Some("/nowhere".to_owned()), &login(&[])).unwrap();
        assert_eq!(
            (found.text.as_str(), found.origin),
            ("given", Origin::Address)
        );
    }

    #[test]
    fn a_file_counts_where_only_its_owner_may_use_it() {
        let hosts = [host("db", 5432)];
        let lines = "db:*:*:*:secret\n";
        for mode in [0o600, 0o400] {
            let file = file("mine", lines, mode);
            let found = in_file(file.clone(), &login(&hosts)).unwrap();
            assert_eq!(found.text, "secret");
            assert_eq!(found.origin, Origin::File(file.clone()));
            fs::remove_file(file).unwrap();
        }
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let file = file("ours", lines, mode);
            let told = in_file(file.clone(), &login(&hosts)).unwrap_err();
            let told = told.to_string();
            assert!(told.contains("chmod 600"), "{mode:o}: {told}");
            assert!(told.contains(file.to_str().unwrap()), "{told}");
            fs::remove_file(file).unwrap();
        }
        let folder = in_file(env::temp_dir(), &login(&hosts)).unwrap_err();
        assert!(folder.to_string().contains("no plain file"), "{folder}");
        let nowhere = in_file("/there/is/none".into(), &login(&hosts)).unwrap_err();
        let told = nowhere.to_string();
        assert!(
            told.contains("/there/is/none") && told.contains("No such file"),
            "{told}"
        );
    }

    #[test]
    fn servers_of_one_database_have_one_password() {
        let hosts = [host("a", 5432), host("b", 5432), host("c", 5432)];
        let one = file("one", "c:*:*:*:same\nb:*:*:*:same\n", 0o600);
        let two = file("two", "a:*:*:*:this\nc:*:*:*:that\n", 0o600);

        let same = in_file(one.clone(), &login(&hosts)).unwrap();
        let different = in_file(two.clone(), &login(&hosts)).unwrap_err();

        assert_eq!(same.text, "same");
        assert_eq!(different, Missing::Different(two.clone()));
        for file in [one, two] {
            fs::remove_file(file).unwrap();
        }
    }
}
