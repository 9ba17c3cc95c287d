//! The browser pages: one HTML file for the path of every page, and the files that it loads.
//!
//! In: the files in `assets/`, which `console/` is built into and which are compiled in. Out: the same bytes, or the same packed,
//! whatever the network is. They hold nothing of the pipeline, so they are given without the token; what they show comes from
//! `/api/v1`, which wants it.
//!
//! Invariant: a page can run no script and load nothing except these files, and cannot turn text into markup or code.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, body::Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::sync::Arc;

/// The paths of pages; each answers the same HTML, which decides by its address what it shows.
const PAGES: [&str; 8] = [
    "/",
    "/events",
    "/delivery",
    "/quality",
    "/letters",
    "/pipeline",
    "/setup",
    "/try",
];

/// What a page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A page in another tab or window gets no hold of this one.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The path of a file, its media type and its bytes.
type File = (&'static str, &'static str, &'static [u8]);

const INDEX: File = ("/", HTML, include_bytes!("../assets/index.html"));
const FILES: [File; 6] = [
    (
        "/assets/console.js",
        SCRIPT,
        include_bytes!("../assets/console.js"),
    ),
    (
        "/assets/console.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/console.css"),
    ),
    (
        "/assets/chunk.js",
        SCRIPT,
        include_bytes!("../assets/chunk.js"),
    ),
    (
        "/assets/delivery.js",
        SCRIPT,
        include_bytes!("../assets/delivery.js"),
    ),
    (
        "/assets/setup.js",
        SCRIPT,
        include_bytes!("../assets/setup.js"),
    ),
    (
        "/assets/licenses.txt",
        "text/plain; charset=utf-8",
        include_bytes!("../assets/licenses.txt"),
    ),
];

/// A file, as it is and packed.
#[derive(Debug)]
struct Asset {
    media_type: &'static str,
    plain: &'static [u8],
    packed: Bytes,
}

impl Asset {
    fn new((_, media_type, plain): File) -> Arc<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        // A vector takes everything.
        let packed = encoder.write_all(plain).and_then(|()| encoder.finish());
        Arc::new(Self {
            media_type,
            plain,
            packed: packed.unwrap_or_default().into(),
        })
    }
}

/// Whether a path belongs to the pages, which bring no token when a browser asks for them.
pub(crate) fn is_page(path: &str) -> bool {
    PAGES.contains(&path) || FILES.iter().any(|(name, ..)| *name == path)
}

/// Every page and every file.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let index = Asset::new(INDEX);
    let pages = PAGES.iter().fold(Router::new(), |router, path| {
        router.route(path, get(serve).with_state(Arc::clone(&index)))
    });
    FILES.into_iter().fold(pages, |router, file| {
        router.route(file.0, get(serve).with_state(Asset::new(file)))
    })
}

async fn serve(State(asset): State<Arc<Asset>>, headers: HeaderMap) -> Response {
    let mut response = if takes_gzip(&headers) && !asset.packed.is_empty() {
        let packed = asset.packed.clone();
        ([(header::CONTENT_ENCODING, "gzip")], packed).into_response()
    } else {
        asset.plain.into_response()
    };
    for (name, value) in [
        (header::CONTENT_TYPE, asset.media_type),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (OPENER_POLICY, "same-origin"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Whether a client names gzip among what it unpacks, and does not refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    /// The most bytes that a browser loads before it shows the first page.
    const MAX_FIRST_PAGE: usize = 110 * 1024;
    /// The most bytes of everything.
    const MAX_BYTES: usize = 300 * 1024;

    fn size(of: &[&str]) -> usize {
        let fitting = FILES.iter().filter(|(name, ..)| of.contains(name));
        fitting.map(|(_, _, bytes)| bytes.len()).sum()
    }

    #[test]
    fn the_pages_are_small() {
        let first = [
            "/assets/console.js",
            "/assets/chunk.js",
            "/assets/console.css",
        ];
        let first = INDEX.2.len() + size(&first);
        assert!(first <= MAX_FIRST_PAGE, "the first page has {first} bytes");
        let scripts: usize = FILES
            .iter()
            .filter(|(_, media_type, _)| *media_type == SCRIPT)
            .map(|(_, _, bytes)| bytes.len())
            .sum();
        let all = INDEX.2.len() + size(&["/assets/console.css"]) + scripts;
        assert!(all <= MAX_BYTES, "all pages have {all} bytes");
    }

    #[test]
    fn the_shell_is_in_the_html_and_only_the_style_comes_before_it() {
        let html = std::str::from_utf8(INDEX.2).unwrap();
        for path in PAGES.iter().filter(|path| **path != "/") {
            assert!(html.contains(&format!("href=\"{path}\"")), "{path}");
        }
        let (head, _) = html.split_once("</head>").unwrap();
        assert_eq!(head.matches("rel=\"stylesheet\"").count(), 1);
        // A module waits for the document.
        assert_eq!(head.matches("<script").count(), 1);
        assert!(head.contains("type=\"module\""));
        for outside in ["http:", "https:", "//", "style=", "onload="] {
            assert!(!html.contains(outside), "{outside} in the page");
        }
    }

    #[test]
    fn a_packed_file_is_the_same_file() {
        for file in FILES.into_iter().chain([INDEX]) {
            let asset = Asset::new(file);
            let mut unpacked = Vec::new();
            let mut reader = GzDecoder::new(&asset.packed[..]);
            reader.read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, asset.plain, "{}", file.0);
        }
    }

    #[test]
    fn files_are_packed_only_for_those_who_unpack_them() {
        for (accepted, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip; q=1.0", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("xgzip", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn nothing_but_pages_and_their_files_is_free() {
        for path in ["/", "/events", "/assets/console.js"] {
            assert!(is_page(path), "{path}");
        }
        for path in [
            "/api/v1/status",
            "/assets/",
            "/assets/x",
            "/events/",
            "/metrics",
            "",
        ] {
            assert!(!is_page(path), "{path}");
        }
    }
}
