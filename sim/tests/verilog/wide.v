// One queue stage after another on payloads of 104, 39, 65 and 208 bits: each way that a port or
// signal is stored in simulation. 13 lanes, 20 channels, one pixel a sample.
module wide (
    input  wire         aclk,
    input  wire         aresetn,
    input  wire [103:0] s_axis_tdata,
    input  wire         s_axis_tvalid,
    output wire         s_axis_tready,
    output wire [207:0] m_axis_tdata,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready,
    output wire         m_axis_tlast
);
    wire [38:0]  narrow_data;
    wire         narrow_valid;
    wire         narrow_ready;
    wire [64:0]  broad_data;
    wire         broad_valid;
    wire         broad_ready;
    wire [38:0]  cut;
    wire [64:0]  grown;
    wire [207:0] full;

    genvar lane;
    generate
        for (lane = 0; lane < 13; lane = lane + 1) begin : lanes
            assign cut[3*lane +: 3]   = s_axis_tdata[8*lane +: 3];
            assign grown[5*lane +: 5] = {{2{narrow_data[3*lane + 2]}}, narrow_data[3*lane +: 3]};
            assign full[16*lane +: 16] = {{11{broad_data[5*lane + 4]}}, broad_data[5*lane +: 5]};
        end
    endgenerate

    wide_stage #(.WIDTH(39)) narrow (aclk, aresetn, cut, s_axis_tvalid, s_axis_tready,
                                     narrow_data, narrow_valid, narrow_ready);
    wide_stage #(.WIDTH(65)) broad (aclk, aresetn, grown, narrow_valid, narrow_ready,
                                    broad_data, broad_valid, broad_ready);
    wide_stage #(.WIDTH(208)) last (aclk, aresetn, full, broad_valid, broad_ready,
                                    m_axis_tdata, m_axis_tvalid, m_axis_tready);
    reg odd;
    assign m_axis_tlast = odd;
    always @(posedge aclk) begin
        if (!aresetn) odd <= 1'b0;
        else if (m_axis_tvalid && m_axis_tready) odd <= !odd;
    end
endmodule

module wide_stage #(parameter WIDTH = 1) (
    input  wire             aclk,
    input  wire             aresetn,
    input  wire [WIDTH-1:0] in_data,
    input  wire             in_valid,
    output wire             in_ready,
    output wire [WIDTH-1:0] out_data,
    output wire             out_valid,
    input  wire             out_ready
);
    reg [WIDTH-1:0] head, tail;
    reg [1:0] count;
    wire push = in_valid && in_ready;
    wire pop  = out_valid && out_ready;
    assign in_ready  = count != 2'd2;
    assign out_valid = count != 2'd0;
    assign out_data  = head;
    always @(posedge aclk) begin
        if (!aresetn) count <= 2'd0;
        else count <= count + {1'b0, push} - {1'b0, pop};
        if (pop) head <= tail;
        if (push) begin
            if (count - {1'b0, pop} == 2'd0) head <= in_data;
            tail <= in_data;
        end
    end
endmodule
