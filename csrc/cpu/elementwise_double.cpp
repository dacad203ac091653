// Every elementwise op, computed in double.
#include "cpu/elementwise_loss.h"

namespace pycnn::PYCNN_ISA {

const OpTable& double_ops() {
    static const OpTable table = all_ops<double>();
    return table;
}

}  // namespace pycnn::PYCNN_ISA
