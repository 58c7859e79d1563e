// The counts that GET …/metrics shows. A Counter or a Gauge cannot be made without the table that shows it, its name and a sentence of
// help: what is counted is shown, and what is shown is counted. Pure; service thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace jobcast::plugin {

class Metrics;

class Metric {
 public:
  Metric(const Metric&) = delete;
  Metric& operator=(const Metric&) = delete;
  operator uint64_t() const { return value_; }  // NOLINT(google-explicit-constructor): reads as the number that it is
  void operator++() { ++value_; }
  void operator+=(uint64_t more) { value_ += more; }

 protected:
  enum class Type : uint8_t { counter, gauge };
  Metric(Metrics& table, Type type, const char* name, const char* help);
  ~Metric() = default;
  uint64_t value_ = 0;

 private:
  friend class Metrics;
  const Type type_;
  const char* const name_;
  const char* const help_;
};

// Only grows. Its name stands here without the "_total" that /metrics puts behind it.
class Counter final : public Metric {
 public:
  Counter(Metrics& table, const char* name, const char* help) : Metric(table, Type::counter, name, help) {}
};

// How many there are now.
class Gauge final : public Metric {
 public:
  Gauge(Metrics& table, const char* name, const char* help) : Metric(table, Type::gauge, name, help) {}
  void operator--() { --value_; }
  void operator-=(uint64_t fewer) { value_ -= fewer; }
  void operator=(uint64_t value) { value_ = value; }
};

// A table: a struct that derives from it has Counters and Gauges as members, {*this, "name", "help"} each. The house test compares their
// names with docs/observability.md.
class Metrics {
 public:
  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // In the order of declaration, as OpenMetrics 1.0 without the "# EOF" of the end.
  [[nodiscard]] std::string text() const;

 protected:
  ~Metrics() = default;

 private:
  friend class Metric;
  std::vector<const Metric*> shown_;
};

}  // namespace jobcast::plugin
