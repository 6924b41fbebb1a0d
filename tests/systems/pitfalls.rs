//! Every pitfall that is known of the five systems, and the tests that walk into it.
//!
//! A pitfall is something that has gone wrong at the vendor, in its clients or in what stands between: found in their sources, told on
//! their pages, or seen by running their clients. Each is named with the tests that try it through the running proxy; the test below sees
//! to it that they are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Pitfall, tests.
type Pitfalls = &'static [(&'static str, &'static [&'static str])];

/// What all five have in common, and what it asks of a proxy in front of them.
const COMMON: Pitfalls = &[
    (
        "failures are told by the body of a 200 (TapTalk, Gigya, Janrain), so neither reading nor writing one may go by the status",
        &[
            "taptalk::held::an_expiry_that_only_the_body_of_a_200_tells_is_renewed_for_and_the_call_repeated",
            "gigya::account::a_token_that_the_vendor_says_has_run_out_is_renewed_and_the_call_made_again",
            "janrain::renewal::code_414_inside_a_200_renews_and_the_client_notices_nothing",
            "taptalk::app::every_token_is_good_for_one_thing_and_says_so_in_a_200",
            "gigya::app::a_signed_user_is_refused_in_gigyas_words",
            "janrain::refusals_are_inside_a_200_but_at_the_token_endpoint",
        ],
    ),
    (
        "a refusal is 401, or 303 to `/` for who does not ask for JSON (HAT)",
        &["hat::a_client_that_does_not_ask_for_json_is_sent_home_in_place_of_401"],
    ),
    ("a failed refresh is a 400 (Telematics)", &["telematics::issued::a_client_logs_in_calls_and_refreshes_without_the_vendor"]),
    (
        "the key of an HMAC is the decoded secret (Gigya) or its raw bytes (Janrain)",
        &["gigya::pitfalls::the_text_of_a_secret_is_not_its_key", "vectors::janrain_signatures_are_taken_as_the_vectors_say"],
    ),
    (
        "one refresh engine with a grace for the pair before (Telematics, TapTalk, Janrain), newest `iat` wins (HAT)",
        &[
            "taptalk::clients::two_processes_with_one_session_go_through_twenty_expiries_with_one_refresh_each",
            "telematics::clients::two_processes_with_copies_of_one_pair_do_not_knock_each_other_out",
            "janrain::clients::two_processes_with_one_session_go_through_twenty_expiries_with_one_refresh_each",
            "hat::an_answer_that_is_older_than_what_is_kept_changes_nothing",
        ],
    ),
    (
        "what is used once is remembered only once it has been verified",
        &[
            "gigya::api::a_signed_request_is_let_through_once_and_the_vendor_agrees",
            "gigya::pitfalls::a_repetition_that_clients_make_by_themselves_is_a_replay",
            "taptalk::attacks::a_ticket_is_good_once_as_it_was_given_and_for_its_hour",
        ],
    ),
    (
        "the public address and the mount are settings: they are signed",
        &[
            "gigya::api::a_request_is_refused_with_the_vendors_codes",
            "janrain::attacks::a_path_that_something_on_the_way_has_changed_is_not_the_one_that_was_signed",
        ],
    ),
    ("the only genuine token is of 2018", &["vectors::the_hat_token_of_2018_is_judged_by_the_clock_of_its_time"]),
    (
        "issuers, apiKeys and client ids are those of the conf",
        &[
            "hat::nobody_is_asked_for_a_key_because_a_token_names_them",
            "gigya::pitfalls::a_token_of_another_site_under_the_same_key_is_nobodys",
            "janrain::logins::a_code_is_redeemed_once_by_its_own_client_at_its_own_address",
        ],
    ),
    (
        "credentials are read in every place that they can stand in, before anything changes them; conflicts are refused",
        &[
            "hat::an_app_is_told_whose_hat_it_is_and_sees_no_token",
            "taptalk::app::connect_has_its_credentials_in_the_query_and_the_app_never_sees_them_there",
            "janrain::attacks::a_signed_request_is_taken_as_it_was_signed_or_not_at_all",
        ],
    ),
    (
        "what may not be in a log",
        &[
            "taptalk::secrets::no_secret_is_seen_where_it_has_no_business",
            "telematics::secrets::no_secret_is_seen_where_it_has_no_business",
            "hat::secrets::no_token_is_seen_where_it_has_no_business",
            "hat::secrets::nor_is_one_that_a_hat_behind_the_proxy_gives_or_gets",
            "hat::secrets::nor_is_one_that_is_kept_for_its_owner",
            "gigya::secrets::no_secret_is_seen_where_it_has_no_business",
            "janrain::secrets::no_secret_is_seen_in_a_place_that_it_is_not_for",
        ],
    ),
];

const HAT: Pitfalls = &[
    (
        "a key fetched from wherever a token says lets any server log in as itself",
        &["hat::nobody_is_asked_for_a_key_because_a_token_names_them", "hat::attacks::a_hats_key_is_its_own_answer_or_none"],
    ),
    (
        "an application's token taken for an owner's, or the reverse",
        &["hat::attacks::each_kind_of_token_opens_what_it_is_for_and_nothing_else"],
    ),
    (
        "tokens in URLs leak through logs and Referer",
        &[
            "hat::a_log_in_ends_in_a_session_with_no_token_in_the_address",
            "hat::the_token_of_a_plug_goes_where_the_conf_says_and_is_fetched_once",
        ],
    ),
    ("two tabs: the reply with the older token arrives last", &["hat::an_answer_that_is_older_than_what_is_kept_changes_nothing"]),
    (
        "a cache that keeps a reply keeps the token on it",
        &[
            "hat::attacks::a_reply_with_a_token_is_nobodys_to_store_whatever_the_hat_says",
            "hat::a_token_that_is_kept_for_its_owner_never_reaches_the_browser",
        ],
    ),
    ("a HAT takes the query's token before the header's", &["hat::a_token_in_the_query_does_not_pass_by_the_one_in_the_header"]),
    (
        "303 in place of 401, but only to `/`",
        &["hat::a_hat_that_sends_home_has_said_401", "hat::attacks::a_redirect_that_leads_elsewhere_is_no_401"],
    ),
];

const TELEMATICS: Pitfalls = &[
    (
        "two copies of a client knock each other out, and burn the quota of logins",
        &[
            "telematics::renewed::two_clients_of_one_account_do_not_knock_each_other_out",
            "telematics::clients::two_processes_with_copies_of_one_pair_do_not_knock_each_other_out",
            "telematics::clients::nor_where_only_a_401_tells_that_the_token_has_ended",
        ],
    ),
    ("a quote in an e-mail address breaks out of the JSON", &["telematics::guarded::a_quote_in_an_e_mail_address_writes_nothing"]),
    (
        "a client's lock covers threads and not processes",
        &[
            "telematics::clients::two_processes_with_one_session_go_through_twenty_expiries_with_one_refresh_each",
            "telematics::clients::so_they_do_where_only_a_401_tells_that_the_token_has_ended",
        ],
    ),
    (
        "tokens lie in a client's database for everyone to read",
        &["telematics::held::both_forms_of_a_login_become_a_session_and_no_token_reaches_the_client"],
    ),
    (
        "instance keys are in apps and public repositories, and are everybody's password",
        &[
            "telematics::guarded::the_instance_key_is_widely_visible_in_apps_so_it_never_is_in_ours",
            "telematics::guarded::nobody_names_somebody_elses_device_to_the_app",
        ],
    ),
    (
        "429 and 5xx on a refresh end no session, 400 and 401 do",
        &[
            "telematics::held::a_session_outlives_a_429_and_a_5xx_and_ends_with_a_400",
            "telematics::renewed::a_refresh_that_fails_ends_the_pair_or_does_not",
        ],
    ),
];

const TAPTALK: Pitfalls = &[
    (
        "two tabs spend the same refresh token",
        &[
            "taptalk::app::two_tabs_that_share_one_account_keep_working_across_twenty_expiries",
            "taptalk::clients::two_processes_with_copies_of_one_pair_of_ours_log_each_other_out_at_none_of_twenty_expiries",
        ],
    ),
    (
        "a slow reply of the profile writes an older pair back",
        &["taptalk::app::two_tabs_that_share_one_account_keep_working_across_twenty_expiries"],
    ),
    (
        "connectOnSuccess=true calls a function that is not there, and sockets are always wss",
        &["taptalk::pitfalls::a_page_exchanges_and_then_opens_its_socket_itself_which_is_always_an_encrypted_one"],
    ),
    (
        "tokens in localStorage, Server-Keys in pages",
        &[
            "taptalk::held::a_page_gets_a_session_and_never_sees_a_token",
            "taptalk::api::a_page_gets_a_ticket_for_its_own_user_and_knows_no_server_key",
            "taptalk::app::a_server_key_on_a_client_route_is_refused_and_nowhere_written",
        ],
    ),
    (
        "a proxy's own error pages break every client",
        &[
            "taptalk::pitfalls::a_real_401_reaches_no_client_that_would_only_log_it",
            "taptalk::app::an_app_that_is_down_breaks_no_client_and_logs_nobody_out",
        ],
    ),
];

const GIGYA: Pitfalls = &[
    (
        "an undecoded secret, the URL alphabet, hex, a plus that became a space, an id in small letters",
        &[
            "gigya::pitfalls::the_text_of_a_secret_is_not_its_key",
            "gigya::pitfalls::a_signature_has_one_spelling",
            "gigya::pitfalls::an_id_keeps_its_case",
        ],
    ),
    (
        "an error that shows the signature that it wanted",
        &["gigya::app::a_signed_user_is_refused_in_gigyas_words", "gigya::api::a_request_is_refused_with_the_vendors_codes"],
    ),
    (
        "a friendship's signature is that of a user with `_` in their id",
        &["gigya::pitfalls::the_proof_of_a_friendship_or_a_site_is_none_of_a_user"],
    ),
    (
        "a user's signature is that of a login's end where its token is all digits",
        &["gigya::pitfalls::the_proof_of_a_user_keeps_no_login_alive"],
    ),
    (
        "signatures compared loosely; `iss` and `exp` of tokens not looked at",
        &[
            "gigya::attacks::a_signature_is_compared_by_its_bytes_and_never_loosely",
            "gigya::pitfalls::an_id_token_without_an_end_or_past_it_is_refused",
            "gigya::pitfalls::a_token_of_another_site_under_the_same_key_is_nobodys",
        ],
    ),
    (
        "falsy values signed as nothing, values signed unencoded, ports joined without a colon",
        &["gigya::attacks::what_clients_are_known_to_sign_wrongly_is_refused_and_the_rest_of_their_calls_is_not"],
    ),
    ("a key chosen by the apiKey in the token", &["gigya::pitfalls::a_token_of_another_site_under_the_same_key_is_nobodys"]),
    ("the secret itself as a parameter", &["gigya::pitfalls::a_secret_over_http_is_refused_and_not_passed_on"]),
];

const JANRAIN: Pitfalls = &[
    (
        "a `Date` of a form that something on the way replaces",
        &["janrain::attacks::a_signed_request_is_taken_as_it_was_signed_or_not_at_all"],
    ),
    (
        "a path rewritten before it is verified",
        &["janrain::attacks::a_path_that_something_on_the_way_has_changed_is_not_the_one_that_was_signed"],
    ),
    ("a failure inside a 200 is stored, or counted as a success", &["janrain::pitfalls::a_failure_inside_a_200_is_nobodys_to_store"]),
    ("310 taken for `not logged in`", &["janrain::renewal::codes_310_380_and_390_renew_nothing"]),
    (
        "a code in a redirect leaks, an open redirect_uri is somebody's account",
        &[
            "janrain::attacks::an_open_redirect_uri_and_a_secret_in_a_url_go_nowhere",
            "janrain::logins::an_address_that_is_nearly_ours_is_not_ours",
        ],
    ),
    ("a merge_token joins two accounts", &["janrain::attacks::a_merge_token_of_another_login_joins_no_accounts"]),
    ("a mobile refresh is signed with a secret that lives as long as the session", &["janrain::attacks::a_mobile_refresh_comes_once"]),
    ("the official client asks for gzip", &["janrain::renewal::code_414_is_read_in_a_compressed_reply_too"]),
    (
        "Basic over plain HTTP undoes what signatures are for",
        &["janrain::pitfalls::a_secret_over_plain_http_undoes_what_signatures_are_for_and_is_refused"],
    ),
];

/// `path::to::test` of every test in the folder of this file.
fn tests_here(folder: &Path, path: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = entry.file_stem().unwrap().to_string_lossy().into_owned();
        let inner = if path.is_empty() { stem } else { format!("{path}::{stem}") };
        if entry.is_dir() {
            tests_here(&entry, &inner, found);
            continue;
        }
        let text = fs::read_to_string(&entry).unwrap();
        for after in text.split("test]\n").skip(1).chain(text.split("test(flavor = \"multi_thread\")]\n").skip(1)) {
            let name = after.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            found.extend(name.map(|name| format!("{inner}::{name}")));
        }
    }
}

#[test]
fn every_pitfall_has_a_test_and_no_test_of_one_has_gone() {
    let mut found = BTreeSet::new();
    tests_here(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systems"), "", &mut found);
    let mut broken = Vec::new();
    let lists = [(COMMON, 11), (HAT, 7), (TELEMATICS, 6), (TAPTALK, 5), (GIGYA, 8), (JANRAIN, 9)];
    for (pitfalls, count) in lists {
        assert_eq!(pitfalls.len(), count, "a pitfall that is known does not go away");
        for (pitfall, tests) in pitfalls {
            assert!(!tests.is_empty(), "nothing tries `{pitfall}`");
            broken.extend(tests.iter().filter(|test| !found.contains(**test)).map(|test| format!("{pitfall}: there is no test {test}")));
        }
    }
    assert!(100 < found.len(), "only {} tests were found: have they changed their form?", found.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
