#include "touch/options.hpp"

namespace attribution::touch {

namespace {

struct Options {
  std::int32_t vl_len_; // a varlena
  int fillfactor;
  int bucket_pages;
};

constexpr Options kDefaults{.vl_len_ = 0, .fillfactor = 90, .bucket_pages = 4};
relopt_kind kind;

const Options &options_of(Relation index) {
  return index->rd_options != nullptr ? *reinterpret_cast<const Options *>(index->rd_options) : kDefaults;
}

} // namespace

void define_options() {
  kind = add_reloption_kind();
  add_int_reloption(kind, "fillfactor", "How full pages are when the index is built, in percent", kDefaults.fillfactor,
                    10, 100, ShareUpdateExclusiveLock);
  add_int_reloption(kind, "bucket_pages",
                    "Pages of a bucket before it is cut in two: more make inserts cheaper and searches dearer",
                    kDefaults.bucket_pages, 1, 64, AccessExclusiveLock);
}

bytea *parse_options(Datum reloptions, bool validate) {
  const auto option = [](const char *name, std::size_t offset) {
    relopt_parse_elt element{}; // which has more members in version 18
    element.optname = name;
    element.opttype = RELOPT_TYPE_INT;
    element.offset = static_cast<int>(offset);
    return element;
  };
  const relopt_parse_elt known[] = {option("fillfactor", offsetof(Options, fillfactor)),
                                    option("bucket_pages", offsetof(Options, bucket_pages))};
  return static_cast<bytea *>(build_reloptions(reloptions, validate, kind, sizeof(Options), known, std::size(known)));
}

int fillfactor(Relation index) { return options_of(index).fillfactor; }

int bucket_pages(Relation index) { return options_of(index).bucket_pages; }

} // namespace attribution::touch
