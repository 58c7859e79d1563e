// How a table of counts reads on the wire.
#include "lws-plugin/metrics.h"

namespace jobcast::plugin {

Metric::Metric(Metrics& table, Type type, const char* name, const char* help) : type_(type), name_(name), help_(help) {
  table.shown_.push_back(this);
}

std::string Metrics::text() const {
  std::string out;
  for (const Metric* metric : shown_) {
    const bool counter = metric->type_ == Metric::Type::counter;
    const std::string name = metric->name_;
    out += "# TYPE " + name + (counter ? " counter" : " gauge") + "\n# HELP " + name + " " + metric->help_ + "\n";
    out += name + (counter ? "_total " : " ") + std::to_string(metric->value_) + "\n";
  }
  return out;
}

}  // namespace jobcast::plugin
