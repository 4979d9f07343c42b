#include "touch/options.hpp"

namespace attribution::touch {

namespace {

struct Options {
  std::int32_t vl_len_; // a varlena
  int bucket_pages;
};

constexpr int kBucketPages = 4;
relopt_kind kind;

} // namespace

void define_options() {
  kind = add_reloption_kind();
  add_int_reloption(kind, "bucket_pages",
                    "Pages of a bucket before it is cut in two: more make inserts cheaper and searches dearer",
                    kBucketPages, 1, 64, AccessExclusiveLock);
}

bytea *parse_options(Datum reloptions, bool validate) {
  relopt_parse_elt option{}; // which has more members in version 18
  option.optname = "bucket_pages";
  option.opttype = RELOPT_TYPE_INT;
  option.offset = offsetof(Options, bucket_pages);
  return static_cast<bytea *>(build_reloptions(reloptions, validate, kind, sizeof(Options), &option, 1));
}

int bucket_pages(Relation index) {
  return index->rd_options != nullptr ? reinterpret_cast<Options *>(index->rd_options)->bucket_pages : kBucketPages;
}

} // namespace attribution::touch
