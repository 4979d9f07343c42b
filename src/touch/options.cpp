#include "touch/options.hpp"

namespace attribution::touch {

namespace {

struct Options {
  std::int32_t vl_len_; // a varlena
  int fillfactor;
  int bucket_pages;
};

constexpr int kFillfactor = 90;
constexpr int kBucketPages = 4;
relopt_kind kind;

} // namespace

void define_options() {
  kind = add_reloption_kind();
  add_int_reloption(kind, "fillfactor", "How full pages are when the index is built, in percent", kFillfactor, 10, 100,
                    ShareUpdateExclusiveLock);
  add_int_reloption(kind, "bucket_pages",
                    "Pages of a bucket before it is cut in two: more make inserts cheaper and searches dearer",
                    kBucketPages, 1, 64, AccessExclusiveLock);
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

int fillfactor(Relation index) {
  return index->rd_options != nullptr ? reinterpret_cast<Options *>(index->rd_options)->fillfactor : kFillfactor;
}

int bucket_pages(Relation index) {
  return index->rd_options != nullptr ? reinterpret_cast<Options *>(index->rd_options)->bucket_pages : kBucketPages;
}

} // namespace attribution::touch
