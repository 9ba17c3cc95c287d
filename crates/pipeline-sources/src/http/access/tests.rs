use super::super::secret::{SecretOptions, Shown};
use super::*;
use std::path::Path;

const SECRET: &str = "a-secret-of-a-test";

fn access(address: &str, origins: &[&str], hosts: &[&str], secret: bool) -> Access {
    let owned = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let secret = secret.then(|| {
        let options: SecretOptions =
            serde_json::from_value(serde_json::json!({"value": SECRET})).unwrap();
        options.check(Path::new(""), Shown::IN_HEADER).unwrap()
    });
    let options = AccessOptions::new(&owned(origins), &owned(hosts), secret).unwrap();
    options.open("web", address.parse().unwrap()).unwrap()
}

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post("/v1/events");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn status(access: &Access, headers: &[(&str, &str)]) -> u16 {
    access
        .check(&request(headers))
        .map_or_else(|refusal| refusal.status, |()| 200)
}

#[test]
fn a_page_of_a_foreign_origin_may_not_send() {
    let access = access("127.0.0.1:8080", &["https://Shop.example"], &[], false);
    let host = ("host", "127.0.0.1:8080");
    for (headers, expected) in [
        (vec![host], 200),
        (vec![host, ("origin", "https://evil.example")], 403),
        (
            vec![host, ("origin", "https://shop.example.evil.example")],
            403,
        ),
        (vec![host, ("origin", "null")], 403),
        (vec![host, ("origin", "http://127.0.0.1:9999")], 403),
        (vec![host, ("origin", "http://127.0.0.1:8080")], 200),
        (vec![host, ("origin", "https://shop.example")], 200),
        (
            vec![
                host,
                ("origin", "https://shop.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            200,
        ),
        (vec![host, ("sec-fetch-site", "cross-site")], 403),
        (vec![host, ("sec-fetch-site", "same-site")], 403),
        (vec![host, ("sec-fetch-site", "none")], 200),
    ] {
        assert_eq!(status(&access, &headers), expected, "{headers:?}");
    }
}

#[test]
fn a_name_that_leads_here_by_a_trick_is_refused() {
    let loopback = access("127.0.0.1:8080", &[], &["Events.shop.example"], false);
    let all = access("0.0.0.0:80", &[], &[], false);
    for (host, of_loopback, of_all) in [
        ("127.0.0.1:8080", 200, 200),
        ("127.0.0.1", 200, 200),
        ("[::1]:8080", 200, 200),
        ("localhost:9000", 200, 200),
        ("LOCALHOST.", 200, 200),
        ("10.1.2.3", 421, 200),
        ("evil.example:8080", 421, 421),
        ("127.0.0.1.evil.example", 421, 421),
        ("events.shop.example", 200, 421),
    ] {
        let headers = [("host", host)];
        assert_eq!(status(&loopback, &headers), of_loopback, "{host}");
        assert_eq!(status(&all, &headers), of_all, "{host}");
    }
    assert_eq!(status(&loopback, &[]), 200, "a client of HTTP/1.0");
    // A rebound name: page and host agree.
    let rebound = [
        ("host", "evil.example:8080"),
        ("origin", "http://evil.example:8080"),
    ];
    assert_eq!(status(&loopback, &rebound), 421);
}

#[test]
fn a_secret_is_asked_for_and_makes_up_for_an_unknown_host() {
    let access = access("0.0.0.0:80", &[], &[], true);
    let host = ("host", "pipeline.default.svc");
    for (headers, expected) in [
        (vec![host], 401),
        (vec![host, ("x-pipeline-secret", "a-secret-of-a-tes")], 401),
        (vec![host, ("x-pipeline-secret", "another-of-a-test")], 401),
        (vec![host, ("x-pipeline-secret", SECRET)], 200),
        (
            vec![
                host,
                ("x-pipeline-secret", SECRET),
                ("origin", "https://evil.example"),
            ],
            403,
        ),
    ] {
        assert_eq!(status(&access, &headers), expected, "{headers:?}");
    }
    let refusal = access.check(&request(&[host])).unwrap_err();
    assert!(!refusal.message.contains(SECRET) && !format!("{access:?}").contains(SECRET));
}

#[test]
fn what_browsers_send_without_asking_needs_an_allowed_origin() {
    let access = access("127.0.0.1:80", &["https://shop.example"], &[], false);
    let check = |format, headers: &[(&str, &str)]| {
        access
            .check_format(format, request(headers).headers())
            .is_ok()
    };
    let browser = ("user-agent", "Mozilla/5.0");
    let json = ("content-type", "application/json");
    assert!(check(Format::Text, &[("user-agent", "curl/8")]));
    assert!(!check(Format::Text, &[browser]));
    assert!(!check(Format::Form, &[("origin", "http://127.0.0.1")]));
    assert!(!check(Format::Json, &[browser]), "no type at all");
    assert!(check(Format::Json, &[browser, json]));
    assert!(check(
        Format::Text,
        &[browser, ("origin", "https://shop.example")]
    ));
}

#[test]
fn a_browser_that_asks_hears_what_an_allowed_page_may_send() {
    let ask = |access: &Access, origin: &str| {
        let mut request = request(&[
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ]);
        *request.method_mut() = Method::OPTIONS;
        let mut answer = access.preflight(&request)?;
        Access::let_read(&mut answer, access.reader(request.headers()));
        Some(answer)
    };
    let one = access("127.0.0.1:80", &["https://shop.example"], &[], false);
    assert!(ask(&one, "https://evil.example").is_none());
    let answer = ask(&one, "https://shop.example").unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "https://shop.example"
    );
    assert_eq!(
        answer.headers()["access-control-allow-headers"],
        "content-type"
    );
    let any = access("127.0.0.1:80", &["*"], &[], false);
    assert!(ask(&any, "https://another.example").is_some());
}

#[test]
fn options_that_mean_nothing_are_problems() {
    let problems = |origins: &[&str], hosts: &[&str]| {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let found = AccessOptions::new(&owned(origins), &owned(hosts), None);
        found.err().map_or(0, |problems| problems.len())
    };
    assert_eq!(
        problems(&["https://a.example:8443", "*"], &["a.example", "::1"]),
        0
    );
    assert_eq!(
        problems(&["a.example", "https://a.example/path", "ftp://a"], &[]),
        3
    );
    assert_eq!(problems(&[], &["https://a.example", "a.example:80", ""]), 3);
}
