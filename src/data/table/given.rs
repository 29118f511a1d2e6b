//! Tables that a host program has in memory and gives in place of a file, as a binding for another language does. They have
//! names that no file has, are read once, and by the thread that gave them.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::path::Path;

use super::Table;
use crate::data::DataError;

/// The name of rows to train on, or to predict.
pub const ROWS: &str = "<frame>";
/// The name of rows to come of a series.
pub const FUTURE: &str = "<future>";

struct Given {
    name: &'static str,
    /// `None` after it was read.
    table: Option<Table>,
    digest: String,
}

thread_local! {
    static GIVEN: RefCell<Vec<Given>> = const { RefCell::new(vec![]) };
}

/// A table can be read while this lives, by the thread that made it.
#[derive(Debug)]
pub struct Loan {
    name: &'static str,
    /// It stays in its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        GIVEN.with_borrow_mut(|all| {
            if let Some(at) = all.iter().rposition(|given| given.name == self.name) {
                all.remove(at);
            }
        });
    }
}

/// Gives a table as [`ROWS`] or [`FUTURE`]. `digest` stands for its contents, so that resuming on others is noticed.
#[must_use = "the table can be read while the loan lives"]
pub fn give(name: &'static str, table: Table, digest: String) -> Loan {
    let table = Some(Table { path: name.into(), ..table });
    GIVEN.with_borrow_mut(|all| all.push(Given { name, table, digest }));
    Loan { name, _thread: PhantomData }
}

/// Whether a path is the name of a table in memory, given or not.
pub fn is_name(path: &Path) -> bool {
    [ROWS, FUTURE].iter().any(|name| path == Path::new(name))
}

/// Takes a table that was given.
///
/// # Errors
/// If none was, or it was read.
pub(super) fn take(path: &Path) -> Result<Table, DataError> {
    let found = GIVEN.with_borrow_mut(|all| {
        let given = all.iter_mut().rev().find(|given| path == Path::new(given.name))?;
        given.table.take()
    });
    found.ok_or_else(|| {
        let reason = "these rows were given in memory and were not kept with the run; give them again, or others in a file";
        DataError::Io { path: path.into(), reason: reason.into() }
    })
}

/// The digest of a table that was given.
pub(in crate::data) fn digest(path: &Path) -> Option<String> {
    let of = |given: &Given| (path == Path::new(given.name)).then(|| given.digest.clone());
    GIVEN.with_borrow(|all| all.iter().rev().find_map(of))
}
