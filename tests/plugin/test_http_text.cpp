// Headers, origins, routes and tickets, as text.
#include "lws-plugin/http_text.h"

#include <string>
#include <vector>

#include "base/json.h"
#include "lws-plugin/router.h"
#include "lws-plugin/tickets.h"
#include "lws-plugin/verify_budget.h"
#include "lws-plugin/verify_turns.h"
#include "tests/cmocka.h"

using namespace jobcast;
using namespace jobcast::plugin;

static void etags_are_compared_weakly_and_in_lists(void**) {
  assert_true(etag_matches("\"7\"", "\"7\""));
  assert_true(etag_matches("W/\"7\"", "\"7\""));
  assert_true(etag_matches("\"1\" , W/\"2\",\"7\"", "\"7\""));
  assert_true(etag_matches("*", "\"7\""));
  assert_true(etag_matches("\"a,b\", \"7\"", "\"7\""));
  assert_false(etag_matches("\"a,*,b\"", "\"7\""));
  for (const char* other : {"", "7", "\"8\"", "\"77\"", ",", "W/", "\"7", "\"7\"x"}) assert_false(etag_matches(other, "\"7\""));
}

static void prefer_wait_is_read(void**) {
  assert_true(preferred_wait_s("wait=10") == 10u);
  assert_true(preferred_wait_s("respond-async, WAIT = \"7\"; x=y") == 7u);
  assert_true(preferred_wait_s("wait=99999999999") == UINT32_MAX);
  assert_true(preferred_wait_s("wait=99999999999999999999") == UINT32_MAX);
  assert_true(preferred_wait_s("x=\"a, wait=3\", wait=4") == 4u);
  for (const char* none : {"", "wait", "wait=", "wait=-1", "wait=1.5", "waiting=3"}) assert_false(preferred_wait_s(none).has_value());
}

static void bearer_and_cookie_are_found(void**) {
  assert_true(bearer_token("Bearer abc") == "abc");
  assert_true(bearer_token("bearer  abc ") == "abc");
  for (const char* none : {"", "Bearer", "Bearer ", "Basic abc", "Bearerabc"}) assert_true(bearer_token(none).empty());
  assert_true(cookie_value("a=1; t=xyz; b=2", "t") == "xyz");
  assert_true(cookie_value("a=1  t=xyz", "t") == "xyz");  // two Cookie headers, as lws joins them
  assert_true(cookie_value("t=a=b", "t") == "a=b");
  assert_true(cookie_value("a=\"; t=\"xyz\"", "t") == "xyz");
  for (const char* none : {"", "tt=1", "a=t; b", "t"}) assert_true(cookie_value(none, "t").empty());
  assert_true(cookie_value("=x", "").empty());
}

static void lengths_are_digits(void**) {
  assert_true(parse_length(" 17 ") == 17u);
  assert_true(parse_length("0") == 0u);
  for (const char* none : {"", "-1", "+1", "1 2", "1,1", "0x1", "99999999999999999999999"}) assert_false(parse_length(none).has_value());
}

static void json_is_json_whatever_its_parameters(void**) {
  assert_true(is_json("application/json"));
  assert_true(is_json("Application/JSON ; charset=utf-8"));
  assert_false(is_json("text/json"));
  assert_false(is_json(""));
}

static void what_is_accepted_is_told_by_media_ranges_and_weights(void**) {
  for (const char* json :
       {"application/json", "Application/JSON", "text/html, application/json;q=0.1", "application/*", "text/plain;q=0.5, */*",
        "application/json, text/plain, */*", "text/plain;q=0.9,application/json;charset=\"a,b\"", "*/*;q=0.1, application/json;Q=0.2",
        "application/json;q=1.000", "text/*;q=0.3, application/json;q=0.301", "\tapplication/json ; q=0.5"})
    assert_true(prefers_json(json));
  for (const char* text :
       {"", "*/*", "text/plain", "application/json;q=0, text/plain", "application/json;q=0", "text/plain, application/json;q=0.999",
        "application/jsonp", "application/json-seq", "application/json;q=0.5, text/*;q=0.6", "text/plain, application/json", "image/png",
        "json", "a=\"application/json\"", "*/*, application/json;q=0.2", ",;,;q=,"})
    assert_false(prefers_json(text));
}

static void origins_are_same_listed_or_foreign(void**) {
  const std::vector<std::string> list = {"https://app.example"};
  assert_true(classify_origin("", "h:80", list) == OriginIs::absent);
  assert_true(classify_origin("https://APP.example", "h:80", list) == OriginIs::allowed);
  assert_true(classify_origin("http://h:80", "H:80", list) == OriginIs::same);
  assert_true(classify_origin("http://h", "H:80", list) == OriginIs::same);
  assert_true(classify_origin("https://h:443", "h", list) == OriginIs::same);
  assert_true(classify_origin("HTTPS://app.example:443", "h:80", list) == OriginIs::allowed);
  assert_true(classify_origin("https://app.example:80", "h:80", list) == OriginIs::foreign);
  assert_true(classify_origin("http://app.example", "h:80", list) == OriginIs::foreign);
  assert_true(classify_origin("https://app.example.evil.com", "h:80", list) == OriginIs::foreign);
  assert_true(classify_origin("null", "h:80", list) == OriginIs::foreign);
  assert_true(classify_origin("null", "", {}) == OriginIs::foreign);
  assert_true(classify_origin("https://x", "h", {"*"}) == OriginIs::anyone);
}

static void problems_are_rfc_9457(void**) {
  const HttpResponse response = problem({Errc::invalid, "kind is not known", "kind"});
  assert_int_equal(response.status, 400);
  const auto body = Json::parse(response.body);
  assert_true(body->view().get("field").string() == "kind");
  assert_true(body->view().get("status").integer() == 400);
  assert_int_equal(problem({Errc::not_found, "", {}}).status, 404);
  assert_int_equal(problem({Errc::full, "", {}}).status, 429);
  assert_int_equal(problem({Errc::retry, "", {}}).status, 503);
  assert_int_equal(problem({Errc::corrupt, "", {}}).status, 500);
}

static void every_route_is_found_and_nothing_else(void**) {
  for (const RouteEntry& entry : routes()) {
    std::string path = entry.pattern;
    if (const size_t hole = path.find("{id}"); hole != std::string::npos) path.replace(hole, 4, "0192");
    const RouteMatch match = match_route(path);
    assert_ptr_equal(match.entry, &entry);
    assert_true(match.id == (path == entry.pattern ? "" : "0192"));
    assert_null(match_route(path + "/").entry);
    assert_null(match_route(path + "/more/more/more").entry);
    assert_true(allows(entry, Method::options));
    assert_false(allows(entry, Method::delete_));
    assert_true(allows(entry, Method::head) == entry.get);
  }
  for (const char* path : {"", "/", "/v1", "/v1/", "/v1/jobs//log", "/v1/jobs/a/b/log", "/V1/jobs", "v1/jobs", "/v1/jobs/x/"})
    assert_null(match_route(path).entry);
  assert_string_equal(allow_header(*match_route("/v1/jobs").entry).c_str(), "GET, HEAD, POST, OPTIONS");
}

static void tickets_are_for_one_use_and_half_a_minute(void**) {
  Tickets tickets(3, 2);
  const Identity who{.user = "alice", .expires_unix_s = 30, .ends_mono_ms = 30'000};
  Time now{.mono_ns = 0, .unix_ms = 500'000};
  const auto first = tickets.issue(who, now), second = tickets.issue(who, now);
  assert_true(first && second && *first != *second);
  assert_true(tickets.redeem(*first, now)->user == "alice");
  assert_false(tickets.redeem(*first, now).has_value());
  assert_false(tickets.redeem("tkt_other", now).has_value());
  now.mono_ns = (Tickets::kLifeMs - 1) * 1'000'000;
  now.unix_ms = 50LL * 365 * 86'400'000;
  assert_true(tickets.redeem(*second, now).has_value());  // somebody set the clock
  now.mono_ns += 1'000'000;
  const auto third = tickets.issue(who, now);
  assert_true(third.has_value());
  assert_false(tickets.redeem(*third, now).has_value());  // the token that it stands for has ended
}

static void origin_that_only_a_star_lets_in_is_not_trusted(void**) {
  const std::vector<std::string> star{"*"}, both{"*", "https://app.example"};
  assert_true(classify_origin("https://evil.example", "h", star) == OriginIs::anyone);
  assert_true(classify_origin("null", "h", star) == OriginIs::anyone);
  assert_true(classify_origin("https://app.example", "h", both) == OriginIs::allowed);
  assert_true(classify_origin("http://h", "h", star) == OriginIs::same);
  assert_true(classify_origin("https://evil.example", "h", {"https://app.example"}) == OriginIs::foreign);
}

static void problem_that_quotes_bytes_is_utf8(void**) {
  const HttpResponse response = problem(400, "invalid", "\xff may be given once", "\xc3");
  assert_true(is_utf8(response.body));
  assert_true(Json::parse(response.body).ok());
}

static void one_users_tickets_make_room_for_each_other_and_take_nobody_elses(void**) {
  Tickets tickets(4, 2);
  const Identity alice{.user = "alice", .expires_unix_s = 1000, .ends_mono_ms = 1'000'000},
      bob{.user = "bob", .expires_unix_s = 1000, .ends_mono_ms = 1'000'000};
  const Time now{.mono_ns = 0, .unix_ms = 500'000};
  std::vector<std::string> hers;
  for (int n = 0; n < 1000; ++n) hers.push_back(tickets.issue(alice, now).value());
  const auto his = tickets.issue(bob, now);
  assert_true(his.has_value());
  assert_true(tickets.issue(alice, now).has_value());
  assert_true(tickets.redeem(*his, now)->user == "bob");
  assert_false(tickets.redeem(hers[997], now).has_value());
  assert_false(tickets.redeem(hers[998], now).has_value());
  assert_true(tickets.redeem(hers[999], now).has_value());
  // Of all users together so many are out.
  Tickets few(2, 2);
  assert_true(few.issue(alice, now) && few.issue(bob, now));
  assert_false(few.issue({.user = "carol", .expires_unix_s = 1000, .ends_mono_ms = 1'000'000}, now).has_value());
}

static void forged_tokens_use_up_nobody_elses_share_of_verifications(void**) {
  VerifyBudget budget;
  constexpr int64_t kCostNs = 440'000;
  int64_t now_ns = 1'000'000'000;
  assert_true(budget.may("10.0.0.1", "bob", now_ns));
  budget.spent("10.0.0.1", "bob", true, kCostNs, now_ns);
  int forged = 0;
  for (int n = 0; n < 10'000; ++n) {  // a second of it, each under another name
    now_ns += 100'000;
    const std::string name = "nobody" + std::to_string(n);
    if (!budget.may("10.0.0.1", name, now_ns)) continue;
    ++forged;
    budget.spent("10.0.0.1", name, false, kCostNs, now_ns);
  }
  assert_in_range(forged, 500, 650);  // a quarter of the time, and what was there to begin with
  assert_false(budget.may("10.0.0.1", "nobody", now_ns));
  assert_true(budget.may("10.0.0.1", "bob", now_ns));       // who is known there
  assert_true(budget.may("10.0.0.2", "stranger", now_ns));  // who comes from elsewhere
}

static void who_waits_to_be_verified_is_served_in_order_and_shares_take_turns(void**) {
  VerifyTurns turns;
  const Time start{1'000'000'000, 1'700'000'000'000};
  std::string served;
  const auto add = [&](const std::string& share, char who, size_t body_bytes = 0) {
    return turns.add(share, body_bytes, start, [&served, who](bool last, const Time&) { (served += who) += last ? "!" : ""; });
  };
  const auto serve = [&](const Time& now, const std::string& busy) {
    const auto next = turns.next(now, [&](const std::string& share) { return share != busy; });
    if (next) next->first(next->second, now);
    return next.has_value();
  };
  (void)add("10.0.0.1", 'a');
  const uint64_t gone = add("10.0.0.1", 'b');
  (void)add("10.0.0.1", 'c');
  (void)add("10.0.0.2", 'd');
  turns.forget(gone);
  turns.forget(gone);
  while (serve(start, "")) {
  }
  assert_string_equal(served.c_str(), "adc");
  assert_true(turns.empty());
  // Whose share has no time waits, yet not for ever.
  served.clear();
  (void)add("10.0.0.1", 'e');
  assert_false(serve(start, "10.0.0.1"));
  assert_true(turns.waits("10.0.0.1"));
  assert_true(serve(Time{start.mono_ns + VerifyTurns::kWaitMs * 1'000'000, start.unix_ms}, "10.0.0.1"));
  assert_string_equal(served.c_str(), "e!");
  // One address takes no other's place.
  for (size_t n = 0; n < VerifyTurns::kShareMax; ++n) assert_true(add("10.0.0.1", 'x') != 0);
  assert_int_equal(add("10.0.0.1", 'x'), 0);
  assert_true(add("10.0.0.2", 'y', VerifyTurns::kShareBytesMax) != 0);
  assert_int_equal(add("10.0.0.2", 'y', 1), 0);
  assert_true(add("10.0.0.2", 'y') != 0);
}

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(origin_that_only_a_star_lets_in_is_not_trusted),
                              cmocka_unit_test(problem_that_quotes_bytes_is_utf8),
                              cmocka_unit_test(etags_are_compared_weakly_and_in_lists),
                              cmocka_unit_test(prefer_wait_is_read),
                              cmocka_unit_test(bearer_and_cookie_are_found),
                              cmocka_unit_test(lengths_are_digits),
                              cmocka_unit_test(json_is_json_whatever_its_parameters),
                              cmocka_unit_test(what_is_accepted_is_told_by_media_ranges_and_weights),
                              cmocka_unit_test(origins_are_same_listed_or_foreign),
                              cmocka_unit_test(problems_are_rfc_9457),
                              cmocka_unit_test(every_route_is_found_and_nothing_else),
                              cmocka_unit_test(tickets_are_for_one_use_and_half_a_minute),
                              cmocka_unit_test(one_users_tickets_make_room_for_each_other_and_take_nobody_elses),
                              cmocka_unit_test(forged_tokens_use_up_nobody_elses_share_of_verifications),
                              cmocka_unit_test(who_waits_to_be_verified_is_served_in_order_and_shares_take_turns)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
