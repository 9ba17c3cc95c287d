//! The elements of a list, one after the other, and the one that a selector selects.
//!
//! In goes the position of a value, out comes the one behind it.

use crate::scan::{Broken, Scanner};
use crate::selector::{Selector, Sought};

/// Passes a list; `visit` passes each of its elements.
#[inline]
pub(crate) fn each<'a>(
    start: Scanner<'a>,
    mut visit: impl FnMut(Scanner<'a>) -> Result<Scanner<'a>, Broken>,
) -> Result<Scanner<'a>, Broken> {
    let (mut here, mut is_over) = start.open(b']');
    while !is_over {
        (here, is_over) = visit(here)?.after_element(b']')?;
    }
    Ok(here)
}

/// Whether a selector selects the element at this position, and the position behind the element.
pub(crate) fn is_selected<'a>(
    start: Scanner<'a>,
    selector: &Selector,
) -> Result<(bool, Scanner<'a>), Broken> {
    if start.byte() != b'{' {
        return Ok((false, start.value()?));
    }
    let mut sought = Sought::new(&selector.key);
    let (mut here, mut is_over) = start.open(b'}');
    while !is_over {
        let (key, value) = here.key()?;
        let end = value.value()?;
        let raw = value.until(end);
        if key.has_escapes {
            sought.offer(key.decoded().ok_or(Broken)?.as_bytes(), raw);
        } else {
            sought.offer(key.name, raw);
        }
        (here, is_over) = end.after_element(b'}')?;
    }
    let is_selected = sought.found().is_some_and(|raw| selector.selects(raw));
    Ok((is_selected, here))
}
