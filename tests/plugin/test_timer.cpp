// Timers inside a real lws loop: what is due waits until the callback that runs is over, though calls into lws may run due timers.
#include "lws-plugin/timer.h"

#include <libwebsockets.h>

#include "tests/cmocka.h"

namespace {

using jobcast::plugin::Busy;
using jobcast::plugin::Timer;

void no_timer_fires_in_the_middle_of_a_callback(void**) {
  lws_set_log_level(LLL_ERR, nullptr);
  lws_context_creation_info info{};
  info.port = CONTEXT_PORT_NO_LISTEN;
  lws_context* context = lws_create_context(&info);
  assert_non_null(context);
  {
    int fired = 0;
    Timer timer([&] { ++fired; });
    timer.after_us(context, 0);
    {
      const Busy callback;
      for (int turn = 0; turn < 5; ++turn) {
        lws_cancel_service(context);
        lws_service(context, 0);
      }
      assert_int_equal(fired, 0);
      assert_true(timer.armed());
    }
    for (int turn = 0; turn < 100 && fired == 0; ++turn) {
      lws_cancel_service(context);
      lws_service(context, 0);
    }
    assert_int_equal(fired, 1);
    assert_false(timer.armed());
  }
  lws_context_destroy(context);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(no_timer_fires_in_the_middle_of_a_callback)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
